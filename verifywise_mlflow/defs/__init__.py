"""The only package that imports Dagster: assets, checks, jobs, partitions, resources, schedules, sensors."""
