"""The project's benchmarks: each measures something of ours beside its peer, in one run."""
