"""Handing an avatar from node to node: two small machines, each one table, for every avatar a node knows.

The *row* says who owns the avatar here; the *seat* is a place kept for one who comes. They are independent: an avatar
may be released here and already hold a seat to come back. `ROW` and `SEAT` are the whole protocol: for every state and
event a list of rules, of which the first whose guards all hold is taken; a pair with no rule that holds is ignored.
`step` interprets them over a `Person`, a small immutable value, and returns what must be done as symbols (`Out`); the
core turns those into messages, sockets and rows. Nothing here reads a clock: timers arrive as events.

What the tables promise, given that a login is born once and that a commit is good for one incarnation and one
reservation: never two owners of one login, and a client that lives can always come back in. An exhaustive search in the
tests proves it for three nodes, and that no guard can be taken out.
"""

from __future__ import annotations

from p2pworld.world.handoff.person import (
    EMPTY_SEAT,
    NO_CONN,
    NO_ROW,
    NOBODY,
    Arrived,
    CameBack,
    Event,
    GotAck,
    GotAttached,
    GotCancel,
    GotCommit,
    GotNak,
    GotPrepare,
    GotReady,
    GotRefused,
    Left,
    NodeEnded,
    Out,
    Outlived,
    Person,
    Row,
    RowTimer,
    Seat,
    SeatTimer,
    SocketLost,
    TicketShown,
    step,
)
from p2pworld.world.handoff.tables import (
    ROW,
    SEAT,
    TABLES,
    Act,
    Guard,
    RowAt,
    RowOn,
    RowTable,
    Rule,
    SeatAt,
    SeatOn,
    SeatTable,
    Tables,
)

__all__ = [
    "EMPTY_SEAT",
    "NOBODY",
    "NO_CONN",
    "NO_ROW",
    "ROW",
    "SEAT",
    "TABLES",
    "Act",
    "Arrived",
    "CameBack",
    "Event",
    "GotAck",
    "GotAttached",
    "GotCancel",
    "GotCommit",
    "GotNak",
    "GotPrepare",
    "GotReady",
    "GotRefused",
    "Guard",
    "Left",
    "NodeEnded",
    "Out",
    "Outlived",
    "Person",
    "Row",
    "RowAt",
    "RowOn",
    "RowTable",
    "RowTimer",
    "Rule",
    "Seat",
    "SeatAt",
    "SeatOn",
    "SeatTable",
    "SeatTimer",
    "SocketLost",
    "Tables",
    "TicketShown",
    "step",
]
