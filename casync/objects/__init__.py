"""Stored objects (chunks, nodes, manifests and trees) as bytes and as values. Pure."""
