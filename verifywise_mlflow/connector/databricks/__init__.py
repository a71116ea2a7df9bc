"""Databricks as an MLflow server: its workspace registry or its Unity Catalog, and its tracking API.

Written after Databricks' public REST API reference and MLflow's own open-source client, and tested with responses of
the shapes that these describe. No live Databricks workspace has been used. Where the two are ambiguous, the code never
takes a partial listing for a complete one, nor a refusal for an absence.
"""
