"""The contenders, a file each: how it is found, and its command lines. Nothing else."""
