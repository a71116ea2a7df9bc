"""Sensors: change polls, staleness and alerts."""
