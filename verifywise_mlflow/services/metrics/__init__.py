"""Metrics of all tenants for operators: read from the database, served to Prometheus, pushed to a collector."""
