"""Small building blocks without dependencies on other packages, each defined once."""
