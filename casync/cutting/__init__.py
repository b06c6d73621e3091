"""From the bytes of an input to chunks in a store."""
