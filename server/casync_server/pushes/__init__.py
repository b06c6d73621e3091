"""What clients change in a store."""
