"""A control plane that serves the App Mesh API and drives Envoys over xDS."""
