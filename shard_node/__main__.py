"""`python -m shard_node --config FILE` runs one node: `p2pworld node`."""

from __future__ import annotations

import sys

from shard_node.cli import main

if __name__ == "__main__":
    main(args=["node", *sys.argv[1:]], prog_name="p2pworld")
