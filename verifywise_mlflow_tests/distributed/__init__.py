"""Runs on workers: real brokers, a real Postgres and Dagster in separate processes."""
