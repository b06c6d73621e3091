"""Where objects live: the ports, and the stores that implement them."""
