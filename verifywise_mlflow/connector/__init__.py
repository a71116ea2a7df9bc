"""MLflow over REST, read only: endpoints, pagination, parsing, and readers for MLflow servers and Databricks."""
