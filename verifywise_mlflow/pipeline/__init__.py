"""What each stage does, one module a stage: reads through the connector, writes through the store, reports."""
