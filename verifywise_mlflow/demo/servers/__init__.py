"""The servers that the demo and the tests start: Postgres, MLflow and Dagster."""
