"""The processes of a server: the supervisor, its workers, collections."""
