"""A pytest plugin that runs a mesh for real: Envoys, AWS emulation, traffic."""
