"""Authentication, access log, audit log and metrics."""
