"""Input files, built from package registries or from a seed."""
