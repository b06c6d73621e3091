"""Replicates large, changing data and moves only the chunks that the receiver lacks."""
