"""The order of a node's effects, decided once for the real shell and for the simulator.

`effects` turns a `Ready` into a list that an executor carries out from first to last: frames and immediate sends leave
at once, writes are made durable, and only then may what waits for them be sent. The executor only executes; it decides
nothing, so an ordering bug exists in both worlds or in neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from p2pworld.messages import Frame, Ready, SaveRecord, Send, ToPeer, Write

__all__ = ["AskStore", "Effect", "Persist", "SendFrames", "SendNow", "TellHolders", "effects", "may_leave"]


@dataclass(frozen=True, slots=True)
class SendFrames:
    """Hand each frame to the play sockets it names; a socket that is full skips it and is counted."""

    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class SendNow:
    """Hand these to their sockets and links, in order; each is looked at by `may_leave` just before."""

    sends: tuple[Send, ...]
    lease_deadline_s: float


@dataclass(frozen=True, slots=True)
class Persist:
    """Make `writes` durable as one, answer `Wrote(number)`, do `then`. If it fails answer `WriteFailed`, drop `then`.

    Persists are carried out one after another in the order they were asked for. An executor may start the next effects
    before a Persist ends; `then` is what must wait for it.
    """

    number: int
    writes: tuple[Write, ...]
    then: SendNow
    lease_deadline_s: float


@dataclass(frozen=True, slots=True)
class AskStore:
    """Put one request to the coordination store; its answer comes back as an event, in any order with others."""

    request: object


@dataclass(frozen=True, slots=True)
class TellHolders:
    """Have the holders of civic logs here take these (`civic.relay.CivicStep`), in order; what they say are events."""

    steps: tuple[object, ...]


Effect = SendFrames | SendNow | Persist | AskStore | TellHolders


def effects(ready: Ready) -> tuple[Effect, ...]:
    """Everything a Ready asks for, in the order it must be begun."""
    deadline_s = ready.lease_deadline_s
    plan: list[Effect] = []
    if ready.frames:
        plan.append(SendFrames(ready.frames))
    if ready.sends:
        plan.append(SendNow(ready.sends, deadline_s))
    if ready.writes:
        # a record is this node's own; only a cell is anybody's who holds the lease
        fenced = any(not isinstance(write, SaveRecord) for write in ready.writes)
        then = SendNow(ready.held, deadline_s)
        plan.append(Persist(ready.number, ready.writes, then, deadline_s if fenced else math.inf))
    elif ready.held:
        plan.append(SendNow(ready.held, deadline_s))
    if ready.civic:
        plan.append(TellHolders(ready.civic))
    plan.extend(AskStore(request) for request in ready.requests)
    return tuple(plan)


def may_leave(send: Send, lease_deadline_s: float, boot_s: float) -> bool:
    """Whether a send may still leave at `boot_s`: what is fenced dies with the lease it was decided under."""
    return not (isinstance(send, ToPeer) and send.fenced) or boot_s < lease_deadline_s
