"""From what people type to values."""
