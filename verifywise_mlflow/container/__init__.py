"""What runs in a container: the start of a service from files and variables, and its health check."""
