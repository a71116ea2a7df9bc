"""Receives MLflow's webhooks: verifies each delivery, and leaves a hint of what to read again. It contacts nothing."""
