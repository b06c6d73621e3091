"""Pull of a folder: all of its files as one line of content."""
