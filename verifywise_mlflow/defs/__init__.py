"""What Dagster loads: assets, checks, jobs, partitions, resources, schedules, sensors.

Besides this package, only ``distributed`` imports Dagster.
"""
