"""``python -m benchmarks.soak``: half an hour of 50 tenants on real MLflow servers, in some ten minutes.

The clock that syncs are told is simulated, a tenant's turn comes every five minutes of it; servers, requests, waiting,
Postgres and Dagster are real: each sync is a run of the job ``sync_tenant``. In each minute people change what is in
the servers, through their API; tenants' servers begin to hang, to fail, to break off, and come back; one server's
process is stopped and started again. At the end, what we keep is compared with the servers' own databases: nothing may
be lost, nothing doubled, and neither memory, trail nor Dagster's event log may have grown by more than what happened.
"""
