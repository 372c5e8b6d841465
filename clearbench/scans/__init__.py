"""Read one scan, whatever its format, as axial slices in Hounsfield units."""
