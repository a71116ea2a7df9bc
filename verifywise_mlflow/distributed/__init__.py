"""Runs on several machines: a launcher that sends runs to a broker, and workers that execute them.

A run belongs to a worker as long as that worker holds the run's lease, a lock in Dagster's database. The broker carries
nothing but run IDs, so losing or repeating a message neither loses nor repeats a sync.
"""
