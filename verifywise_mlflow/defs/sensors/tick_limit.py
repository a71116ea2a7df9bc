"""The most syncs that one tick of a sensor requests.

The limit holds for the sensors that detect changes: ``new_versions``, ``changed_listings`` and ``mlflow_changes``. The
sensor ``tenants`` requests the first sync of all new tenants in one tick: its next tick is not urgent.
"""

MAX_SYNCS_PER_TICK = 50
"""The most syncs per tick: Dagster takes a fifth of a second to submit each run, and the sensor's next tick waits for
that."""
