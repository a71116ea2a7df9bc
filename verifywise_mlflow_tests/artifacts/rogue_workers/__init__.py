"""Worker programs for tests. Each locks itself down like the real ones and then misbehaves."""
