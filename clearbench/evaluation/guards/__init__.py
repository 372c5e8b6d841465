"""Guards against leaks between training and test patients; every evaluation runs them."""
