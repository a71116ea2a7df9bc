"""Which files a model version has: where they lie, their listing, their hashes, the environment they need."""
