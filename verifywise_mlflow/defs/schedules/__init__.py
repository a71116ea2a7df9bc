"""Schedules: reconcile, rehash, audit verification and run retention."""
