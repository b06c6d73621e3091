"""What is written: files, devices, folders and streams, each whole or not at all."""
