"""The store in object storage."""
