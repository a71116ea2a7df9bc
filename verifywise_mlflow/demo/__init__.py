"""A playground: real models on a real MLflow server, a real Postgres and Dagster, all of them started here.

``run.py`` tells the demo from beginning to end. ``postgres.py`` and ``mlflow_server.py`` are also what the tests
start. Everything listens on 127.0.0.1 only.
"""
