"""Where alerts go: one file a kind of target. Each takes all alerts of a round at once."""
