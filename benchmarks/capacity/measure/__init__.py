"""Measures the constants of ``service_times`` again: ``python -m benchmarks.capacity.measure``.

Each part names what it needs: a file, a Postgres, an MLflow server, or all of Dagster. Times are CPU times unless
``service_times`` says otherwise.
"""
