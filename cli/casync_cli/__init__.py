"""The command line of casync."""
