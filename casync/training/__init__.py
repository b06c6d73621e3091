"""What training jobs read with: members in order, and a file system of fsspec."""
