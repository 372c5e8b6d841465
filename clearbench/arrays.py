"""Types of arrays that many modules use."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]  # row numbers
