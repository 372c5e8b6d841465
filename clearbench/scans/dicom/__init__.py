"""DICOM CT: headers to series, series to volumes."""
