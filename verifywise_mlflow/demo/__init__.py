"""The demo: real models on a real MLflow server, with a real Postgres and Dagster, all on 127.0.0.1 only.

``run.py`` is the demo from start to end. The tests start the same servers (``servers/``).
"""
