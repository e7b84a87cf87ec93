"""The operator's commands, which talk to a running control plane over HTTP."""
