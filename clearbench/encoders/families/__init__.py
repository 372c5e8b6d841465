"""One file per family of encoders; each uses one library and has a function `build`."""
