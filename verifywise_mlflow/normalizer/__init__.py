"""From what MLflow says to the canonical record: pure functions, values in, values out."""
