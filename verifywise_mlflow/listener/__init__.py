"""Receives MLflow's webhooks: verifies each delivery, and leaves hints of what to read again.

Its only connections are those that it accepts and those to Postgres.
"""
