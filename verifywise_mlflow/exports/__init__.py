"""Writes data of the store as files: tables as CSV, Excel and Parquet, and JSON documents with published schemas."""
