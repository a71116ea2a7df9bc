"""What the pipeline reads and writes, a module for each subject."""
