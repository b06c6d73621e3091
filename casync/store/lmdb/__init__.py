"""The store on disk, in one LMDB file."""
