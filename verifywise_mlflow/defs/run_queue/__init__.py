"""The run queue: priority, deduplication and active runs."""
