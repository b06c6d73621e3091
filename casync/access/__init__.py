"""From the objects of stores and servers to content, every byte proved."""
