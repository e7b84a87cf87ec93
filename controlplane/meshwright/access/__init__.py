"""Who may call the API: signatures, keys, what a key permits, and TLS."""
