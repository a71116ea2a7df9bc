"""What Dagster loads: assets, checks, jobs, partitions, resources, schedules, sensors. Only ``distributed`` uses Dagster, too."""
