"""An encoder of textures, as a plug-in of clearbench."""
