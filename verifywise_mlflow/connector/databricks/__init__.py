"""Databricks, read as an MLflow server is: its workspace registry or its Unity Catalog, and its tracking.

Written after Databricks' public reference of its REST API and MLflow's own open-source client, and tried on answers
of the shapes that these describe. No live Databricks workspace has been asked. Where the two leave something open,
the code takes the way that cannot make a part look like all, or a refusal like an absence.
"""
