"""A store in object storage, as bytes and as values (docs/FORMAT.md section 11)."""
