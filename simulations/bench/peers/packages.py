"""What the peers run on: a Node that is new enough and their locked packages, both fetched if they are missing."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path
from typing import Final

from run import ROOT, SetupFailed, install_from_npm, provide_node, say

__all__ = ["FOLDER", "LOCK", "OLDEST_NODE", "SetupFailed", "provide"]

FOLDER: Final = Path(__file__).resolve().parent
OLDEST_NODE: Final = 22  # what Colyseus 0.17 asks for
LOCK: Final = FOLDER / "package-lock.json"
STAMP: Final = FOLDER / "node_modules" / ".stamp"


def provide() -> str:
    """The Node to run the peers with, once `node_modules` holds what the lock pins.

    Raises:
        SetupFailed: it could not be fetched.
    """
    node, npm = provide_node(ROOT, OLDEST_NODE)
    with LOCK.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another bench may be at it
        wanted = hashlib.sha256(lock.read()).hexdigest()
        if not STAMP.exists() or STAMP.read_text("ascii") != wanted:
            say("fetching the packages of the peers, once")
            install_from_npm(lock.fileno(), node, npm, FOLDER, [])
            STAMP.write_text(wanted, "ascii")
    return node
