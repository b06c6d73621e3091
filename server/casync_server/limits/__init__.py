"""How much of a server one client may take."""
