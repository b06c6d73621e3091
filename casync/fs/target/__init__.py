"""Targets: files, devices, folders and streams, each written whole or not at all."""
