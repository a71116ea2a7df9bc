"""How many syncs a sensor requests in a tick."""

MAX_SYNCS_PER_TICK = 50
"""The most syncs per tick: Dagster takes a fifth of a second to submit each run, and the sensor's next tick waits for
that."""
