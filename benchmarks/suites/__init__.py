"""The suites, one per file, each with a function that fills a sheet."""
