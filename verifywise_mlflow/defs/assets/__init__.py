"""Assets: the six stages, the external servers, metrics over time."""
