"""What a node keeps on its own disk: the journal of its cells' objects, and the lock that makes the disk its own."""
