"""Programs that the tests run inside the sandbox in place of ours. Each locks itself in as ours do, then misbehaves."""
