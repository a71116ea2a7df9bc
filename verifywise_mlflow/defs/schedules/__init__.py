"""Schedules: reconcile, rehash and audit verification. Run retention has its own package."""
