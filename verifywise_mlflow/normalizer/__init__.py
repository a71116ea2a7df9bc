"""Normalization of MLflow's objects to the canonical record. Pure functions."""
