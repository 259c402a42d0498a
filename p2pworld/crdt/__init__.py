"""Replicated data types: values that many replicas change at once and that still come out equal.

All are pure: no sockets, files, clocks or randomness; the time is passed in.
"""

from .anti_entropy import CellTree, Comparison, Part, defer
from .clock import CausalContext, Dot, HybridClock, Replica, Stamp, admissible
from .counter import PNCounter
from .lattice import Lattice
from .objects_cell import ObjectCell, ObjectRecord
from .ormap import ORMap
from .orset import ORSet
from .plain import Value
from .register import Register

__all__ = [
    "CausalContext",
    "CellTree",
    "Comparison",
    "Dot",
    "HybridClock",
    "Lattice",
    "ORMap",
    "ORSet",
    "ObjectCell",
    "ObjectRecord",
    "PNCounter",
    "Part",
    "Register",
    "Replica",
    "Stamp",
    "Value",
    "admissible",
    "defer",
]
