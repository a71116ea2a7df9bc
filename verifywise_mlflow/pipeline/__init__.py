"""The six stages, one module each. A stage reads through the connector, writes through the store and reports."""
