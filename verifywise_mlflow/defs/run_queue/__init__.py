"""The run queue: priorities, deduplication and active runs."""
