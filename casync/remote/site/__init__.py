"""Static sites: what `casync publish` wrote, read by ranges from a plain web server."""
