"""Files to measure on, each built by a script from package registries or a seed."""
