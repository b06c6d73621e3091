"""Prepare: puts files, folders and buckets into a store."""
