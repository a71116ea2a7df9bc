"""Policies as data, and the verdicts they give on canonical records."""
