"""Features in HDF5 files, and a DuckDB catalogue: an index that can be built again from them."""
