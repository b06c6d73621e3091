"""What is read once, from its start to its end: files, devices and streams."""
