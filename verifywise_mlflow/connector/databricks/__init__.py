"""Databricks as an MLflow server: its workspace registry or its Unity Catalog, and its tracking API.

The code follows Databricks' public REST API reference and MLflow's own open-source client, and is tested with responses
of the shapes that these two sources describe. It was never run against a Databricks workspace. If the sources are
ambiguous, the code never treats a partial listing as complete, and never treats a refusal as a missing object.
"""
