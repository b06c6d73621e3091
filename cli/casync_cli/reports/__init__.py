"""What commands say when they are done, for people and as JSON."""
