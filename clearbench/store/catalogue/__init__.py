"""The DuckDB index of a store; no other module reads or writes DuckDB files."""
