"""Receives MLflow's webhooks: verifies each delivery, and stores hints that name the objects to read again.

The listener opens connections only to Postgres, and accepts connections from MLflow.
"""
