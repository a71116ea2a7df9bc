"""``python -m benchmarks.soak``: simulates half an hour of 50 tenants on real MLflow servers, in about ten minutes.

The clock of the syncs is simulated, and each tenant is synced every five simulated minutes. Servers, requests, waiting
times, Postgres and Dagster are real: each sync is a run of the job ``sync_tenant``. In each minute, objects are changed
through the servers' API. Tenants' servers begin to hang, to fail or to break off connections, and they recover. One
server's process is stopped and restarted. At the end, our database is compared with the servers' own databases: nothing
may be lost or duplicated. Memory, audit trail and Dagster's event log may have grown only in proportion to the changes.
"""
