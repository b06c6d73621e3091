"""Object storages to read from."""
