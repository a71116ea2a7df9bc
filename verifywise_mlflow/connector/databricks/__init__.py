"""Databricks as an MLflow server: its workspace registry or its Unity Catalog, and its tracking API.

The code follows Databricks' public REST API reference and MLflow's own open-source client, and is tested with responses
of the shapes that these two describe. It was never run against a Databricks workspace. If the two are ambiguous, the
code never takes a partial listing for a complete one, nor a refusal for an absence.
"""
