"""What people call a manifest, who signed it, and who may use a server. Pure."""
