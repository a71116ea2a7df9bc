"""The audit trail: what was read from whom, when, on whose behalf, and what could not be read."""
