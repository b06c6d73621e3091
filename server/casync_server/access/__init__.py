"""Who may ask for what, and the record of who did."""
