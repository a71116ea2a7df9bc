"""``python -m benchmarks.backfill``: drains a backfill of 500 tenants while the sensors run.

The MLflow servers, Postgres and Dagster are real. Dagster has the production dagster.yaml, and each run is a process.
First, all tenants are synced. Then a backfill requests another sync of each tenant. While the backfill drains, new
versions are registered, which a sensor must detect. The figures are those that Dagster recorded. The command exits with
1 if a run failed, two syncs of a tenant overlapped, a sensor missed its ticks, a sensor's run waited for more than a
minute, a change was not read, the rate was uneven, or other processes took more than a fifth of a core during one of
the fifths of the backfill.

The variables of ``docs/reference/environment-variables.md`` apply, as in production:
``VERIFYWISE_MAX_CONCURRENT_SYNCS=4`` and so on.
"""
