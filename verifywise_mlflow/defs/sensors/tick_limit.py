"""The most syncs that one tick of a sensor requests.

The limit holds for the sensors that detect changes, ``new_versions``, ``changed_listings`` and ``mlflow_changes``, and
for ``tenants``, which requests the first syncs of new tenants.
"""

MAX_SYNCS_PER_TICK = 50
"""The most syncs per tick: Dagster takes a fifth of a second to submit each run, and the sensor's next tick waits for
that."""
