"""An attestor: it knows people by a login or from a desk, and signs pseudonyms for them."""
