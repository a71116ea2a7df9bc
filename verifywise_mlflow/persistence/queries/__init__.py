"""Read models for people, Dagster and notebooks."""
