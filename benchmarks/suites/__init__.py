"""What is measured: one file for each suite, each with a function that fills a sheet."""
