"""The demo: from a Pulumi program to real traffic through real Envoys, in six steps."""
