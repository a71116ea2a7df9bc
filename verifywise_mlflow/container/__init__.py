"""The code that starts a service in a container from files and variables, and that checks the service's health."""
