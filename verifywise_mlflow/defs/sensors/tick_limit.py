"""The maximum number of syncs that one tick of a sensor requests.

The limit applies to the sensors that detect changes (``new_versions``, ``changed_listings`` and ``mlflow_changes``). It
also applies to the sensor ``tenants``, which requests the first syncs of new tenants.
"""

MAX_SYNCS_PER_TICK = 50
"""The maximum number of syncs per tick: Dagster takes a fifth of a second to submit each run, and the sensor's next
tick waits until all runs are submitted."""
