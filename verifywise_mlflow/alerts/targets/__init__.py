"""Alert targets, one module per kind. A target receives all alerts of a tick at once."""
