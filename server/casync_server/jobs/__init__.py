"""Download jobs that the server runs for its clients."""
