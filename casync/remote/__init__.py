"""Other machines: the ports of a store over HTTP."""
