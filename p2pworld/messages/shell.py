"""What passes between a node and its own shell: events that happened, and `Ready`, what is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pworld.ids import Incarnation
from p2pworld.messages.fields import Grant
from p2pworld.messages.link import (
    Batch,
    LinkMessage,
)
from p2pworld.messages.play import (
    Bye,
    File,
    Objects,
    PlayMessage,
)

__all__ = [
    "ClientEvent",
    "ClientLost",
    "ClientOpened",
    "ClientSaid",
    "ClientsFiled",
    "Frame",
    "HangUp",
    "LinkDown",
    "LinkUp",
    "PackedObjects",
    "PeerSaid",
    "Ready",
    "SaveDelta",
    "SaveRecord",
    "SaveState",
    "Send",
    "ToClient",
    "ToPeer",
    "Write",
    "WriteFailed",
    "Wrote",
]


@dataclass(frozen=True, slots=True)
class ClientOpened:
    """A play socket finished its WebSocket handshake; `conn` is a small number, reused after ClientLost."""

    conn: int
    remote: str


@dataclass(frozen=True, slots=True)
class ClientSaid:
    """A client sent a control message."""

    conn: int
    message: PlayMessage


@dataclass(frozen=True, slots=True)
class ClientsFiled:
    """FILEs that came together, each with the play socket that it came by, in order."""

    files: tuple[tuple[int, File], ...]


@dataclass(frozen=True, slots=True)
class ClientLost:
    """The play socket is gone (closed by either side, or a broken protocol); always the last event of `conn`."""

    conn: int


@dataclass(frozen=True, slots=True)
class LinkUp:
    """An authenticated link to this incarnation is open in both directions; `caps` are what both sides can do.

    `grants` are the proof it came with, and no part of which link it is.
    """

    peer: Incarnation
    caps: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class LinkDown:
    """No link to this incarnation is open any longer; what was sent and not answered may or may not have arrived."""

    peer: Incarnation


@dataclass(frozen=True, slots=True)
class PeerSaid:
    """A batch arrived over the link from this incarnation."""

    peer: Incarnation
    batch: Batch


@dataclass(frozen=True, slots=True)
class Wrote:
    """All writes of the Ready numbered `number` are durable."""

    number: int


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The writes of the Ready numbered `number` are not on the disk, none of them."""

    number: int
    reason: str


ClientEvent = ClientOpened | ClientSaid | ClientsFiled | ClientLost


@dataclass(frozen=True, slots=True)
class SaveDelta:
    """Append to the journal of a cell's objects."""

    cell: int
    epoch: int
    n: int
    delta: bytes


@dataclass(frozen=True, slots=True)
class SaveState:
    """Replace the journal of a cell's objects by this whole state."""

    cell: int
    epoch: int
    n: int
    state: bytes


@dataclass(frozen=True, slots=True)
class SaveRecord:
    """Keep one record of this kind under its id, in place of an older one; empty `data`: forget it."""

    kind: str
    id: bytes
    data: bytes


Write = SaveDelta | SaveState | SaveRecord


@dataclass(frozen=True, slots=True)
class PackedObjects(Objects):
    """An OBJECTS with the bytes it is sent as, `data`: made once for many clients, from objects packed before."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class ToClient:
    """Send a control message on a play socket."""

    conn: int
    message: PlayMessage


@dataclass(frozen=True, slots=True)
class HangUp:
    """Send BYE on a play socket and close it."""

    conn: int
    bye: Bye


@dataclass(frozen=True, slots=True)
class ToPeer:
    """Send over the link to one incarnation, or drop it and count. `fenced`: only while the lease holds."""

    peer: Incarnation
    message: LinkMessage
    fenced: bool = False


Send = ToClient | HangUp | ToPeer


@dataclass(frozen=True, slots=True)
class Frame:
    """The same bytes (one or more binary WebSocket messages' payloads, in order) to each of these play sockets."""

    conns: tuple[int, ...]
    payloads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """What a node wants done, drained from it at once.

    `frames` and `sends` may leave at once, `sends` in order; `held` only after every one of `writes` is durable.
    `requests` go to the coordination store, `civic` to the holders of civic logs here (`civic.relay`).
    `lease_deadline_s` (boot clock): fenced sends and writes are dropped when it has passed. `deadline_s`: when the node
    wants a tick at the latest.
    """

    number: int
    frames: tuple[Frame, ...] = ()
    sends: tuple[Send, ...] = ()
    writes: tuple[Write, ...] = ()
    held: tuple[Send, ...] = ()
    requests: tuple[object, ...] = field(default=())
    lease_deadline_s: float = 0.0
    deadline_s: float = 0.0
    civic: tuple[object, ...] = field(default=())
