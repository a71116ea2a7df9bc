"""Writes data of the store as files: tables as CSV, Excel and Parquet, and JSON documents with published schemas.

No module here lists the columns of a table. The columns of the inventory and of the gaps are the fields of the classes
in ``services/inventory.py`` and ``services/gaps.py``. The columns of the warehouse export are in
``persistence/queries/warehouse_tables.py``.
"""
