"""Tests of the export for data warehouses."""
