"""Civic services on a node: their declarations, what is decided about them, and what hangs on it."""
