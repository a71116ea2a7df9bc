"""Redaction: secrets and personal data are removed before anything is stored. Pure functions, no I/O."""
