"""The environment that a model needs, parsed from untrusted files."""
