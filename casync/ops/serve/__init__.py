"""What a server makes of the objects of its store."""
