"""Push: gives a server what it lacks."""
