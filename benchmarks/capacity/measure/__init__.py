"""Measures the constants of ``service_times`` again: ``python -m benchmarks.capacity.measure``.

Each part states what it needs: a file, a Postgres, an MLflow server, or a complete Dagster. Times are CPU times unless
``service_times`` states otherwise.
"""
