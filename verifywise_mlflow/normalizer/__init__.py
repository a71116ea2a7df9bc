"""Normalization of MLflow's objects to the canonical record: pure functions, values in, values out."""
