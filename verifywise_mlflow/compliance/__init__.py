"""Policies as data, and the verdicts that they give on canonical records."""
