"""Many citizens who want few places, all at once, at a real node."""
