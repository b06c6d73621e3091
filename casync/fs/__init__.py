"""Local files: what is read, what is written, and what may hold wanted bytes."""
