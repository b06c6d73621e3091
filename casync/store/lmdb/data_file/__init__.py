"""The data file of LMDB, read and checked past LMDB."""
