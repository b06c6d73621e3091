"""Local files: sources to read, targets to write, and seeds that may hold wanted chunks."""
