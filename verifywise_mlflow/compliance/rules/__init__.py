"""Policies and rules: their format, validation and loading, and the CEL expressions that rules are written in."""
