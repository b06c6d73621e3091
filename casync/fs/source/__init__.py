"""Sources: files, devices and streams that are read once, from start to end."""
