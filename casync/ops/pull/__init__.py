"""Pull: rebuilds a file from what is at hand and fetches the rest."""
