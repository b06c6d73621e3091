"""What a manifest holds, and how it differs from another or from a copy on disk."""
