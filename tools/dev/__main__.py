"""Starts the ./dev commands: python -m tools.dev COMMAND."""

import sys

from tools.dev.cli import main

sys.exit(main())
