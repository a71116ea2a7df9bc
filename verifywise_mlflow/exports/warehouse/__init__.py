"""A tenant's records, verdicts, histories and events as files for a data warehouse, exported incrementally.

A directory has a folder for each table, ``schema.json`` with the columns, and ``state.json`` with the position up to
which everything was exported. The folder of a table has a part file for each export that wrote rows of the table.
"""
