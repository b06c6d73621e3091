"""Benchmarks: casync against its peers, on the same files in the same run. See README.md here."""
