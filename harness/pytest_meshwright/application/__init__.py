"""The small real HTTP application behind each Envoy: `python -m pytest_meshwright.application`."""
