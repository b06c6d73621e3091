"""Publishing: names and what they need, as static files in a folder or a bucket."""
