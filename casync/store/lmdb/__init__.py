"""The store in one LMDB file."""
