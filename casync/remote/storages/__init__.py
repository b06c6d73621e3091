"""Storages that a store in a bucket lies in. `open` has the table of their schemes."""
