"""``python -m benchmarks.webhooks``: how soon a change in MLflow is evaluated, and how many syncs a burst makes.

Postgres, MLflow with webhooks, the listener, Dagster's code server, webserver and daemon, and with ``--launcher
celery`` Redis and a worker are processes of their own. A tag of one version after the other is changed, with pauses of
random length. The clock starts when MLflow has confirmed a change, and ends when its verdict is in the store. Then a
burst of changes of one tenant is made.

On a machine that does other things, all delays are longer.
"""
