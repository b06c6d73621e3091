"""The contenders, one per file: how each is found, and its command lines."""
