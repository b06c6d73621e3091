"""What a store keeps: chunks, nodes, manifests and trees, as bytes and as values. Pure."""
