"""Archives: made, exported, listed and read."""
