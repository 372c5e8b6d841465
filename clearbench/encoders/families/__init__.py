"""One file per family of encoders; each knows one library and offers `build`."""
