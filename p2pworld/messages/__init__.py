"""Every message and what a node asks of its shell, frozen.

Three families. *Play* messages travel between a client and a node (`KIND` is the first byte of each). *Link* messages
travel between nodes, many to a batch. *Events* and *requests* travel between a node and its own shell: what happened
(a socket opened, a write became durable, the store answered), and what is wanted (`Ready`).

A field's annotation is its validation: `Annotated[int, Range(low, high)]`, `Annotated[bytes, Size(low, high)]` (bytes,
characters or items). The codec of `p2pworld.wire` compiles these and refuses what does not fit; a field with a default
may be absent. Positions are centimetres from the south-west corner of the root square.
"""

from __future__ import annotations

from p2pworld.messages.fields import (
    PROTOCOL,
    Instant,
    Pose,
    Profile,
    Range,
    Size,
)
from p2pworld.messages.link import (
    GROUND,
    LINK_MESSAGES,
    PULSE,
    REVOKE,
    SEEK,
    ActDone,
    ActFor,
    Attached,
    Batch,
    Beaten,
    Border,
    Came,
    Cancel,
    CellDelta,
    CellRefused,
    CellState,
    CellStored,
    Commit,
    CommitAck,
    CommitNak,
    DirectoryNews,
    DirectoryPut,
    Found,
    LinkMessage,
    Load,
    Phase,
    Prepare,
    Regions,
    Revoked,
    Sanctioned,
    SeatReady,
    SeatRefused,
    Seek,
    Spoken,
    Told,
    WhoAsk,
    WhoTell,
)
from p2pworld.messages.play import (
    PLAY_MESSAGES,
    Act,
    Beat,
    Block,
    Bye,
    Challenge,
    Correct,
    Done,
    Friend,
    Go,
    Group,
    Hello,
    Moved,
    Notice,
    Objects,
    Pace,
    PlayMessage,
    Profiles,
    Report,
    Said,
    Say,
    SignedHello,
    Welcome,
    Who,
    WorldObject,
)
from p2pworld.messages.shell import (
    ClientEvent,
    ClientLost,
    ClientOpened,
    ClientSaid,
    Frame,
    HangUp,
    LinkDown,
    LinkUp,
    PackedObjects,
    PeerSaid,
    Ready,
    SaveDelta,
    SaveRecord,
    SaveState,
    Send,
    ToClient,
    ToPeer,
    Write,
    WriteFailed,
    Wrote,
)

# ruff: noqa: RUF022  (the door is ordered by family, as the page is)
__all__ = [
    "Range", "Size", "PROTOCOL", "Pose", "Profile", "SignedHello", "Instant",
    "Challenge", "Hello", "Welcome", "Moved", "Say", "Said", "Beat", "Block", "Group", "Report", "Friend",
    "Act", "Done", "Objects", "Who", "Profiles", "Correct", "Notice", "Go",
    "Pace", "Bye", "PlayMessage", "PLAY_MESSAGES", "WorldObject",
    "Prepare", "SeatReady", "SeatRefused", "Attached", "Commit", "CommitAck", "CommitNak", "Cancel", "Border",
    "DirectoryPut", "DirectoryNews", "CellDelta", "CellState", "CellStored", "CellRefused", "WhoAsk", "WhoTell",
    "Spoken", "Beaten", "Told", "Sanctioned", "ActFor", "ActDone", "LinkMessage", "LINK_MESSAGES", "Batch",
    "Phase", "Load", "PULSE", "Regions", "GROUND", "Seek", "Found", "Came", "SEEK", "Revoked", "REVOKE",
    "ClientOpened", "ClientSaid", "ClientLost", "LinkUp", "LinkDown", "PeerSaid", "Wrote", "WriteFailed", "ClientEvent",
    "SaveDelta", "SaveState", "SaveRecord", "Write", "ToClient", "HangUp", "ToPeer", "Send", "Frame", "PackedObjects",
    "Ready",
]  # fmt: skip
