"""What Dagster loads: assets, checks, jobs, partitions, resources, schedules, sensors.

Of the other packages, only ``distributed`` imports Dagster.
"""
