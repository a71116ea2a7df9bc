"""``python -m benchmarks.backfill``: drains a backfill of 500 tenants while the sensors run.

MLflow servers, Postgres and Dagster with the production dagster.yaml are real; each run is a process. All tenants are
synced first, then a backfill requests each again. While it drains, new versions are registered, which a sensor must
detect. The figures are those that Dagster recorded. It exits with 1 if a run failed, a tenant was synced twice at
once, a sensor missed its ticks, a sensor's run waited for more than a minute, a change was not read, the rate was
uneven, or other processes took more than a fifth of a core in one of the fifths.

The variables of ``docs/reference/environment-variables.md`` hold, as in production:
``VERIFYWISE_MAX_CONCURRENT_SYNCS=4`` and so on.
"""
