"""Artifacts of a model version: their location, listing, hashes, signatures and runtime environment."""
