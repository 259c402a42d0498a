"""Civic logs on a node: what keeps them, what drives their holder, and the folder in which everybody reads them."""
