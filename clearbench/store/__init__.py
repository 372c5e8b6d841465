"""Features in HDF5 files (the truth), a DuckDB catalogue over them (an index)."""
