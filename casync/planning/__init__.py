"""Which chunk comes from where, and in which order. Pure."""
