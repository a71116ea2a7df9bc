"""Receives MLflow's webhooks: verifies each delivery, and stores hints that name the objects to read again.

The listener accepts connections, and opens connections only to Postgres.
"""
