"""Serves a store in a bucket: one replica of several."""
