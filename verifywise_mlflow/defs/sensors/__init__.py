"""Sensors: change detection, freshness and alerts."""
