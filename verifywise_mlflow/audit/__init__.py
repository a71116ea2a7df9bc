"""The audit trail: a hash-chained, append-only log of reads, failures and changes, with signed checkpoints."""
