"""Run retention: deletes old Dagster runs. The history in our store is not affected."""
