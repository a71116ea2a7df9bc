"""Tests of traces, structured logs and metrics."""
