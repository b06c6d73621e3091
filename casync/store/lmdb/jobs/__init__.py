"""The jobs of a store on disk."""
