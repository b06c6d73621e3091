"""Archives as bytes and values: their formats, their members, and the index of members."""
