"""What leaves the store as files and documents: tables as CSV, Excel and Parquet, and JSON under published schemas."""
