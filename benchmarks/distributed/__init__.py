"""``make distributed``: runs per minute with workers behind a broker, against the default launcher.

Postgres, MLflow, Redis, Dagster's code server, webserver and daemon, and each worker are processes of their own. All
tenants are synced first. Then each launcher drains a backfill over all of them, one launcher after the other in one
session: the default launcher as Dagster ships it, which starts a new Python for each run; the default launcher as this
project uses it, which forks each run; and Celery with 1, 2 and 4 workers. Last, it measures how long a single run takes
from the request to its first call to MLflow.

On a machine that does other things, compare the CPU seconds.
"""
