"""``python -m benchmarks.webhooks``: how soon a change in MLflow is evaluated, and how many syncs a burst causes.

Postgres, MLflow with webhooks, the listener, and Dagster's code server, webserver and daemon are separate processes.
With ``--launcher celery``, Redis and a worker are also separate processes. For one version after the other, a tag is
changed, with pauses of random length. The clock starts when MLflow has confirmed a change, and ends when its verdict is
in the store. At the end, a burst of changes of one tenant is made.

If the machine has other work, all delays are longer.
"""
