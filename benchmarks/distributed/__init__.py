"""``make distributed``: compares the runs per minute of workers behind a broker and of the default launcher.

Postgres, MLflow, Redis, Dagster's code server, webserver and daemon, and each worker are processes of their own. All
tenants are synced first. Then one launcher after the other drains a backfill over all tenants, in one session. These
launchers are compared: the default launcher as Dagster ships it, which starts a new Python for each run; the default
launcher as this project uses it, which forks each run; and Celery with 1, 2 and 4 workers. At the end, the time of a
single run from the request to its first call to MLflow is measured.

If the machine has other work, compare the CPU seconds.
"""
