"""The messages between client and server, one reader and one writer each. Pure."""
