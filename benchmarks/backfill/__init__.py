"""``python -m benchmarks.backfill``: a backfill of 500 tenants drains, and the sensors go on meanwhile.

MLflow servers, Postgres and Dagster with the dagster.yaml of production are real; each run is a process. All tenants
were synced before, and a backfill then asks for each once more; while it drains, people register new versions, and a
sensor has to notice them. The figures are those that Dagster wrote down itself. It ends with 1 where a run failed, a
tenant was synced twice at once, a sensor missed its ticks, or a change was not read.

The variables of ``docs/reference/environment-variables.md`` hold, as in production:
``VERIFYWISE_MAX_CONCURRENT_SYNCS=4`` and so on.
"""
