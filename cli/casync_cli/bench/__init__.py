"""The report and the page of `casync bench`."""
