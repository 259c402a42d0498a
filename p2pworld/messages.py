"""Every message and what a node asks of its shell, frozen.

Three families. *Play* messages travel between a client and a node (`KIND` is the first byte of each). *Link* messages
travel between nodes, many to a batch. *Events* and *requests* travel between a node and its own shell: what happened
(a socket opened, a write became durable, the store answered), and what is wanted (`Ready`).

A field's annotation is its validation: `Annotated[int, Range(low, high)]`, `Annotated[bytes, Size(low, high)]` (bytes,
characters or items). The codec of `p2pworld.wire` compiles these and refuses what does not fit; a field with a default
may be absent. Positions are centimetres from the south-west corner of the root square.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NamedTuple

from p2pworld.ids import Incarnation

# ruff: noqa: RUF022  (the door is ordered by family, as the page is)
__all__ = [
    "Range", "Size", "PROTOCOL", "Pose", "Profile", "SignedHello", "Instant",
    "Challenge", "Hello", "Welcome", "Moved", "Say", "Said", "Beat", "Block", "Group", "Report",
    "Act", "Done", "Objects", "Who", "Profiles", "Correct", "Notice", "Go",
    "Pace", "Bye", "PlayMessage", "PLAY_MESSAGES", "WorldObject",
    "Prepare", "SeatReady", "SeatRefused", "Attached", "Commit", "CommitAck", "CommitNak", "Cancel", "Border",
    "DirectoryPut", "DirectoryNews", "CellDelta", "CellState", "CellStored", "CellRefused", "WhoAsk", "WhoTell",
    "Spoken", "Beaten", "Sanctioned", "LinkMessage", "LINK_MESSAGES", "Batch",
    "ClientOpened", "ClientSaid", "ClientLost", "LinkUp", "LinkDown", "PeerSaid", "Wrote", "WriteFailed", "ClientEvent",
    "SaveDelta", "SaveState", "SaveRecord", "Write", "ToClient", "HangUp", "ToPeer", "Send", "Frame", "Ready",
]  # fmt: skip

PROTOCOL = 1


@dataclass(frozen=True, slots=True)
class Range:
    """The whole numbers `low` to `high`, both allowed."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Size:
    """The least and greatest length: bytes of a bytes field, characters of a text, items of a tuple."""

    low: int
    high: int


U8 = Annotated[int, Range(0, 2**8 - 1)]
U16 = Annotated[int, Range(0, 2**16 - 1)]
U32 = Annotated[int, Range(0, 2**32 - 1)]
U53 = Annotated[int, Range(0, 2**53 - 1)]
Centimetres = Annotated[int, Range(0, 65_536 * 100 - 1)]
Up = Annotated[int, Range(-(2**15), 2**15 - 1)]
AvatarId = Annotated[int, Range(1, 2**53 - 1)]
CellCode = Annotated[int, Range(1, 2**53 - 1)]
Key = Annotated[bytes, Size(32, 32)]
Nonce = Annotated[bytes, Size(32, 32)]
Signature = Annotated[bytes, Size(64, 64)]
Ticket = Annotated[bytes, Size(16, 16)]
Birth = Annotated[bytes, Size(16, 16)]
ObjectId = Annotated[bytes, Size(16, 16)]
Code = Annotated[str, Size(1, 40)]
Speech = Annotated[str, Size(1, 300)]
Sentence = Annotated[str, Size(0, 300)]
Url = Annotated[str, Size(1, 200)]


class Instant(NamedTuple):
    """One reading of the node's clocks: seconds since boot (suspended time counts), and Unix milliseconds."""

    boot_s: float
    wall_ms: int


# --------------------------------------------------------------------------------------------------- shared parts


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an avatar is and how: up in steps of 4 cm above the datum, yaw in 256ths of a turn, state a small code."""

    east_cm: Centimetres
    north_cm: Centimetres
    up: Up = 0
    yaw: U8 = 0
    state: U8 = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """How a person wishes to be shown; `kind` is `person`, `program` or `ai`, and programs never count as people."""

    name: Annotated[str, Size(1, 32)]
    look: Annotated[str, Size(0, 64)] = ""
    kind: Annotated[str, Size(1, 8)] = "person"


@dataclass(frozen=True, slots=True)
class Hello:
    """The client's answer to CHALLENGE: who it is, which login it opens or continues, and its signature over both.

    A fresh login has an empty `birth`; a HELLO with a `ticket` names the whole login it carries over. `after` is the
    login a reconnecting device continues. The signature covers the challenge and the canonical map of every field but
    `v`, `key`, `caps` and `sig`.
    """

    KIND: ClassVar[int] = 0x40
    v: U16
    key: Key
    login_ms: U53
    url: Url
    profile: Profile
    sig: Signature
    birth: Annotated[bytes, Size(0, 16)] = b""
    after_ms: U53 = 0
    after_birth: Annotated[bytes, Size(0, 16)] = b""
    ticket: Annotated[bytes, Size(0, 16)] = b""
    want: Pose | None = None
    caps: Annotated[tuple[Code, ...], Size(0, 16)] = ()


@dataclass(frozen=True, slots=True)
class SignedHello:
    """A fresh HELLO and the challenge it answered: proof to anybody that a person opened this login."""

    node: Key
    nonce: Nonce
    hello: Hello


@dataclass(frozen=True, slots=True)
class WorldObject:
    """One object as a client sees it: `kind` is `lantern` or `bell`; a bell has a count, a lantern a wish."""

    id: ObjectId
    kind: Code
    east_cm: Centimetres
    north_cm: Centimetres
    text: Annotated[str, Size(0, 200)] = ""
    by: Annotated[int, Range(0, 2**53 - 1)] = 0
    count: U53 = 0
    at_ms: U53 = 0


# --------------------------------------------------------------------------------------------------- play


@dataclass(frozen=True, slots=True)
class Challenge:
    """The node speaks first: its key, a fresh nonce, and its signature over nonce and the url it serves."""

    KIND: ClassVar[int] = 0x41
    v: U16
    node: Key
    nonce: Nonce
    url: Url
    sig: Signature


@dataclass(frozen=True, slots=True)
class Welcome:
    """You are here: the whole login, pose and seq to go on from, tick, clocks, region, and other nodes' urls."""

    KIND: ClassVar[int] = 0x42
    id: AvatarId
    login_ms: U53
    birth: Birth
    pose: Pose
    seq: U32
    tick_ms: U16
    t_ms: U32
    time_ms: U53
    cell: CellCode
    urls: Annotated[tuple[Url, ...], Size(0, 8)] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """A seat is kept for you at `url`: connect there with `ticket` and keep this socket until WELCOME."""

    KIND: ClassVar[int] = 0x43
    node: Key
    url: Url
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Say:
    """Say `text` on a channel: `near`, `place`, `group` (`to` is its 16-byte name), `direct` (`avatar` is whom).

    The signature covers all but `n`, so that what was said proves itself. `ms` is the speaker's Unix time.
    """

    KIND: ClassVar[int] = 0x44
    n: U32
    channel: Code
    text: Speech
    ms: U53
    sig: Signature
    to: Annotated[bytes, Size(0, 16)] = b""
    avatar: Annotated[int, Range(0, 2**53 - 1)] = 0


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said where, with the speaker's key and signature."""

    KIND: ClassVar[int] = 0x45
    id: AvatarId
    key: Key
    name: Annotated[str, Size(1, 32)]
    channel: Code
    text: Speech
    ms: U53
    sig: Signature
    east_cm: Centimetres
    north_cm: Centimetres
    to: Annotated[bytes, Size(0, 16)] = b""
    avatar: Annotated[int, Range(0, 2**53 - 1)] = 0
    kind: Annotated[str, Size(1, 8)] = "person"


@dataclass(frozen=True, slots=True)
class Beat:
    """One beat of a drum that sounds everywhere at `at_ms` of the server's Unix time. A client leaves the place out."""

    KIND: ClassVar[int] = 0x50
    at_ms: U53
    voice: U8
    id: Annotated[int, Range(0, 2**53 - 1)] = 0
    east_cm: Centimetres = 0
    north_cm: Centimetres = 0


@dataclass(frozen=True, slots=True)
class Block:
    """From now on (or, `on` false, no longer) nothing that this avatar says is to reach this client."""

    KIND: ClassVar[int] = 0x51
    avatar: AvatarId
    on: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """For the moderators: this was said, and `why` it should not have been. DONE of the same `n` says it is kept."""

    KIND: ClassVar[int] = 0x52
    n: U32
    said: Said
    why: Sentence = ""


@dataclass(frozen=True, slots=True)
class Group:
    """This client hears (or, `on` false, no longer hears) the group named by 16 secret bytes."""

    KIND: ClassVar[int] = 0x53
    to: Ticket
    on: bool = True


@dataclass(frozen=True, slots=True)
class Act:
    """Do something that lasts: `verb` is `hang` (a lantern, `text` its wish) or `ring` (the bell `target`, or the
    place's).

    A retry with the same `n` under the same login does nothing twice. `name`, the client's own random name for the act,
    makes that so under a later login too.
    """

    KIND: ClassVar[int] = 0x46
    n: U32
    verb: Code
    text: Annotated[str, Size(0, 200)] = ""
    target: Annotated[bytes, Size(0, 16)] = b""
    name: Annotated[bytes, Size(0, 16)] = b""


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to ACT `n`: `durable` is `standby` or `disk`, or empty with the `reason` why it was refused."""

    KIND: ClassVar[int] = 0x4E
    n: U32
    durable: Annotated[str, Size(0, 40)] = ""
    id: Annotated[bytes, Size(0, 16)] = b""
    reason: Annotated[str, Size(0, 40)] = ""
    sentence: Sentence = ""


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of one region that are new or changed (`whole`: all there are), and those that are gone."""

    KIND: ClassVar[int] = 0x47
    cell: CellCode
    objects: Annotated[tuple[WorldObject, ...], Size(0, 64)]
    gone: Annotated[tuple[ObjectId, ...], Size(0, 64)] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Who:
    """Who are these avatars?"""

    KIND: ClassVar[int] = 0x48
    ids: Annotated[tuple[AvatarId, ...], Size(1, 64)]


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles of `ids`, in the same order; unknown ones are left out."""

    KIND: ClassVar[int] = 0x49
    ids: Annotated[tuple[AvatarId, ...], Size(0, 64)]
    profiles: Annotated[tuple[Profile, ...], Size(0, 64)]


@dataclass(frozen=True, slots=True)
class Correct:
    """Your pose `seq` was not accepted: go on from `pose`, for `reason`.

    Reasons: `reach`, `outside`, `closed`, `wall`, `ride` (you sit on no bus), and where the node moved you itself:
    `go`, `board`, `off`.
    """

    KIND: ClassVar[int] = 0x4A
    seq: U32
    pose: Pose
    reason: Code


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know, as a code and a sentence."""

    KIND: ClassVar[int] = 0x4B
    code: Code
    sentence: Sentence = ""


@dataclass(frozen=True, slots=True)
class Go:
    """Take me to a place by its name (teleport)."""

    KIND: ClassVar[int] = 0x4C
    place: Code


@dataclass(frozen=True, slots=True)
class Pace:
    """Send your poses `shift_ms` later than you do, so that they arrive just before the tick."""

    KIND: ClassVar[int] = 0x4D
    shift_ms: Annotated[int, Range(-1000, 1000)]


@dataclass(frozen=True, slots=True)
class Bye:
    """The node ends the connection. `elsewhere` carries the largest known login; `again` asks for a new login;
    other codes: `expired`, `full`, `clock`, `signature`, `version`, `malformed`, `slow`, `leaving`, `lapsed`, `moved`,
    `url`, `key`, `removed`, `banned`."""

    KIND: ClassVar[int] = 0x4F
    code: Code
    reason: Sentence = ""
    login_ms: U53 = 0
    birth: Annotated[bytes, Size(0, 16)] = b""
    urls: Annotated[tuple[Url, ...], Size(0, 8)] = ()


PlayMessage = (
    Hello | Challenge | Welcome | Moved | Say | Said | Act | Done | Objects | Who | Profiles | Correct | Notice | Go
    | Pace | Bye | Beat | Block | Group | Report
)  # fmt: skip
PLAY_MESSAGES: tuple[type, ...] = (
    Hello, Challenge, Welcome, Moved, Say, Said, Act, Done, Objects, Who, Profiles, Correct, Notice, Go, Pace, Bye,
    Beat, Block, Group, Report,
)  # fmt: skip

# --------------------------------------------------------------------------------------------------- link


@dataclass(frozen=True, slots=True)
class Prepare:
    """Will you take this avatar? `k` names the attempt at the source; `hello` proves the login, `to` is the cell.

    A rider comes with its `vehicle` (0: on foot) and seat.
    """

    KIND: ClassVar[int] = 0x01
    avatar: AvatarId
    k: U53
    hello: SignedHello
    hop: U32
    seq: U32
    pose: Pose
    to: CellCode
    vehicle: U16 = 0
    seat: U8 = 0


@dataclass(frozen=True, slots=True)
class SeatReady:
    """A seat is kept under the one-use ticket `r`."""

    KIND: ClassVar[int] = 0x02
    avatar: AvatarId
    k: U53
    r: Ticket


@dataclass(frozen=True, slots=True)
class SeatRefused:
    """No seat, or no longer: `reason` is a code."""

    KIND: ClassVar[int] = 0x03
    avatar: AvatarId
    k: U53
    reason: Code


@dataclass(frozen=True, slots=True)
class Attached:
    """The client of attempt `k` holds a socket here under ticket `r`."""

    KIND: ClassVar[int] = 0x04
    avatar: AvatarId
    k: U53
    r: Ticket


@dataclass(frozen=True, slots=True)
class Commit:
    """The avatar is yours: good for one incarnation of the receiver and one reservation, never redirected."""

    KIND: ClassVar[int] = 0x05
    avatar: AvatarId
    k: U53
    r: Ticket
    to_incarnation: U53
    login_ms: U53
    birth: Birth
    hop: U32
    seq: U32
    pose: Pose
    vehicle: U16 = 0
    seat: U8 = 0


@dataclass(frozen=True, slots=True)
class CommitAck:
    """The avatar is owned here (or something newer of it is known)."""

    KIND: ClassVar[int] = 0x06
    avatar: AvatarId
    k: U53
    r: Ticket


@dataclass(frozen=True, slots=True)
class CommitNak:
    """The commit found no seat: the avatar is owned by nobody, its client must log in again."""

    KIND: ClassVar[int] = 0x07
    avatar: AvatarId
    k: U53
    r: Ticket


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give up the seat under ticket `r`."""

    KIND: ClassVar[int] = 0x08
    avatar: AvatarId
    k: U53
    r: Ticket


@dataclass(frozen=True, slots=True)
class Border:
    """The sender's avatars near our common border at `t_ms` (its clock), packed columns, and counts per cell beyond."""

    KIND: ClassVar[int] = 0x10
    t_ms: U53
    rows: Annotated[bytes, Size(0, 1 << 20)]
    density: Annotated[bytes, Size(0, 1 << 16)] = b""


@dataclass(frozen=True, slots=True)
class DirectoryPut:
    """To a home of this avatar: it is logged in at the sender under this login."""

    KIND: ClassVar[int] = 0x20
    avatar: AvatarId
    hello: SignedHello


@dataclass(frozen=True, slots=True)
class DirectoryNews:
    """From a home: the winning login of this avatar, to a node that holds an older one."""

    KIND: ClassVar[int] = 0x21
    avatar: AvatarId
    hello: SignedHello


@dataclass(frozen=True, slots=True)
class CellDelta:
    """Holder to standby: change number `n` of a cell's objects under `epoch`."""

    KIND: ClassVar[int] = 0x30
    cell: CellCode
    epoch: Annotated[int, Range(0, 2**63 - 1)]
    n: U53
    delta: Annotated[bytes, Size(0, 1 << 20)]


@dataclass(frozen=True, slots=True)
class CellState:
    """Holder to standby: all of a cell's objects up to change `n`."""

    KIND: ClassVar[int] = 0x31
    cell: CellCode
    epoch: Annotated[int, Range(0, 2**63 - 1)]
    n: U53
    state: Annotated[bytes, Size(0, 1 << 24)]


@dataclass(frozen=True, slots=True)
class CellStored:
    """Standby to holder: everything up to change `n` is on this disk."""

    KIND: ClassVar[int] = 0x32
    cell: CellCode
    epoch: Annotated[int, Range(0, 2**63 - 1)]
    n: U53


@dataclass(frozen=True, slots=True)
class CellRefused:
    """Standby to holder: this cannot be kept, for `reason` (`disk`, `epoch`, `gap`)."""

    KIND: ClassVar[int] = 0x33
    cell: CellCode
    epoch: Annotated[int, Range(0, 2**63 - 1)]
    reason: Code


@dataclass(frozen=True, slots=True)
class WhoAsk:
    """Who are these avatars of yours?"""

    KIND: ClassVar[int] = 0x40
    ids: Annotated[tuple[AvatarId, ...], Size(1, 256)]


@dataclass(frozen=True, slots=True)
class WhoTell:
    """The profiles of `ids`, in the same order."""

    KIND: ClassVar[int] = 0x41
    ids: Annotated[tuple[AvatarId, ...], Size(0, 256)]
    profiles: Annotated[tuple[Profile, ...], Size(0, 256)]


@dataclass(frozen=True, slots=True)
class Spoken:
    """Somebody of mine said this: let those of yours hear it whom it concerns. A home passes a direct one on, once."""

    KIND: ClassVar[int] = 0x50
    said: Said
    passed: bool = False


@dataclass(frozen=True, slots=True)
class Beaten:
    """Somebody of mine beats a drum near our common border."""

    KIND: ClassVar[int] = 0x51
    beat: Beat


@dataclass(frozen=True, slots=True)
class Sanctioned:
    """A moderator has ordered this (`world.moderation`); it proves itself."""

    KIND: ClassVar[int] = 0x60
    order: Annotated[bytes, Size(1, 1 << 14)]


LinkMessage = (
    Prepare | SeatReady | SeatRefused | Attached | Commit | CommitAck | CommitNak | Cancel | Border | DirectoryPut
    | DirectoryNews | CellDelta | CellState | CellStored | CellRefused | WhoAsk | WhoTell | Spoken | Beaten
    | Sanctioned
)  # fmt: skip
LINK_MESSAGES: tuple[type, ...] = (
    Prepare, SeatReady, SeatRefused, Attached, Commit, CommitAck, CommitNak, Cancel, Border, DirectoryPut,
    DirectoryNews, CellDelta, CellState, CellStored, CellRefused, WhoAsk, WhoTell, Spoken, Beaten,
    Sanctioned,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """What one node sends another at once: the map version it was sent under, and messages in order."""

    map_version: int
    messages: tuple[LinkMessage, ...]


# --------------------------------------------------------------------------------------------------- events


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
class ClientLost:
    """The play socket is gone (closed by either side, or a broken protocol); always the last event of `conn`."""

    conn: int


@dataclass(frozen=True, slots=True)
class LinkUp:
    """An authenticated link to this incarnation is open in both directions."""

    peer: Incarnation


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


ClientEvent = ClientOpened | ClientSaid | ClientLost

# --------------------------------------------------------------------------------------------------- Ready


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
    `requests` go to the coordination store. `lease_deadline_s` (boot clock): fenced sends and writes are dropped when
    it has passed. `deadline_s`: when the node wants a tick at the latest.
    """

    number: int
    frames: tuple[Frame, ...] = ()
    sends: tuple[Send, ...] = ()
    writes: tuple[Write, ...] = ()
    held: tuple[Send, ...] = ()
    requests: tuple[object, ...] = field(default=())
    lease_deadline_s: float = 0.0
    deadline_s: float = 0.0
