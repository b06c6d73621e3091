"""The processes of a server: supervisor, workers, garbage collection."""
