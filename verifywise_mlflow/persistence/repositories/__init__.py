"""The rows that the pipeline reads and writes, one module per subject."""
