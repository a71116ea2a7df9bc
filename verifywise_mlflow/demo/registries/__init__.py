"""Registries of two tenants with trained models, each with its own tagging habits.

A separate program seeds them (``python -m verifywise_mlflow.demo.registries``): MLflow keeps its tracking
URI and its workspace process-wide, and importing it takes two seconds and 170 MB.
"""
