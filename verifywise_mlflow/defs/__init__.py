"""The only room that knows Dagster: assets, checks, jobs, partitions, resources, schedules, sensors."""
