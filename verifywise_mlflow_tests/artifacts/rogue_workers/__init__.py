"""Worker programs for tests. Each program locks itself down like the real workers and then misbehaves."""
