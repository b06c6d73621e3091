"""Download: runs a job, which copies many objects of a source into names."""
