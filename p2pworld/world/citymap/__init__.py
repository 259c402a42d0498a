"""The city map: who holds which cell, as an immutable value, and every way it may change.

The cells of a map partition the root square. Each is held by one incarnation of a listed node, or by nobody; a holder
has standbys whose disks are in step with its own, in the order in which they would take over. A step is a pure
function `old map -> new map | Refusal`; it raises the version by one, and a coordination store accepts the result by
compare-and-swap. Steps conflict only on the cells they touch: who loses the race reads the newer map and takes the
same step on it.

An epoch is the stamp (generation and version) of the map in which a holder got its ground. On every piece of ground
epochs never fall, and they grow whenever the holder changes; splitting and merging rename ground and keep them. A
restored store starts a new generation, which makes every epoch and version after it larger than any before.

The steps decide what a map may become, not who may ask: that a lease has ended, that a standby is in step, that a
holder has frozen before it gives up a cell, is for the node that proposes to know.
"""

from __future__ import annotations

from p2pworld.world.citymap.form import decode, encode, from_plain, to_plain
from p2pworld.world.citymap.steps import (
    add_standby,
    claim,
    claim_stream,
    drain,
    drop_standby,
    fail_over,
    genesis,
    give_up_stream,
    hand_over,
    join,
    leave,
    merge,
    new_generation,
    pin,
    split,
    upgrade,
    wish,
)
from p2pworld.world.citymap.value import (
    CELLS_MAX,
    EMPTY,
    FORMAT,
    MEMBERS_MAX,
    STANDBYS_MAX,
    STREAMS_MAX,
    CityMap,
    Held,
    Holding,
    Member,
    Wish,
    WishKind,
    epoch_of,
    first_of,
)

__all__ = [
    "CELLS_MAX",
    "EMPTY",
    "FORMAT",
    "MEMBERS_MAX",
    "STANDBYS_MAX",
    "STREAMS_MAX",
    "CityMap",
    "Held",
    "Holding",
    "Member",
    "Wish",
    "WishKind",
    "add_standby",
    "claim",
    "claim_stream",
    "decode",
    "drain",
    "drop_standby",
    "encode",
    "epoch_of",
    "fail_over",
    "first_of",
    "from_plain",
    "genesis",
    "give_up_stream",
    "hand_over",
    "join",
    "leave",
    "merge",
    "new_generation",
    "pin",
    "split",
    "to_plain",
    "upgrade",
    "wish",
]
