"""The HTTP face of a worker process."""
