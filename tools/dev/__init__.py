"""The commands behind ./dev: set-up, tests, lint, the lock file and the demo's start."""
