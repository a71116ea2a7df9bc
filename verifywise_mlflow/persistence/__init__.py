"""Postgres: tables, migrations and every SQL statement of the package."""
