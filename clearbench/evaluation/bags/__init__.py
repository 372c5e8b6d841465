"""Feature files → bags of slice features on a device."""
