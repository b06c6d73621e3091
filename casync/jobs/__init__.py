"""Download jobs as values: what they fetch, under which names, and how far they are."""
