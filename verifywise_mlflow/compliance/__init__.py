"""Policies as data, and their verdicts on canonical records."""
