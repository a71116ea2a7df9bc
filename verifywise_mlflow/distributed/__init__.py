"""Runs on several machines: a launcher that sends runs to a broker, and workers that execute them.

A run belongs to a worker as long as that worker holds the run's lease, a lock in Dagster's database. The broker carries
only run IDs, so a lost or repeated message neither loses nor repeats a sync.
"""
