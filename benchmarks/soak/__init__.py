"""``python -m benchmarks.soak``: half an hour of 50 tenants on real MLflow servers, in about ten minutes.

The clock of the syncs is simulated, and each tenant is synced every five simulated minutes. Servers, requests, waiting
times, Postgres and Dagster are real: each sync is a run of the job ``sync_tenant``. In each minute objects change
through the servers' API; tenants' servers begin to hang, fail and break off, and recover; one server's process is
stopped and restarted. At the end, our database is compared with the servers' own databases: nothing may be lost or
duplicated, and memory, audit trail and Dagster's event log may have grown only in proportion to the changes.
"""
