"""Which proxies are connected to which replica: told to the others through the store."""
