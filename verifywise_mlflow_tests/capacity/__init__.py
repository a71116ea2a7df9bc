"""Tests of the capacity model and of its simulation in ``benchmarks.capacity``."""
