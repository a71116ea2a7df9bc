"""Webhooks of a tenant's MLflow that lead to our listener: how to register them, and whether they work."""
