"""What nodes say to each other, many messages to a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from p2pworld.limits import CIVIC_SUBMISSION_BYTES_MAX, RECEIPT_BYTES_MAX, REGIONS_TOLD_MAX, TICK_MS
from p2pworld.messages.fields import (
    U8,
    U16,
    U32,
    U53,
    AvatarId,
    Birth,
    CellCode,
    Code,
    Digest,
    Key,
    NodeName,
    Path,
    Pose,
    Profile,
    Range,
    Role,
    Sentence,
    Size,
    Ticket,
)
from p2pworld.messages.play import (
    Act,
    Beat,
    Done,
    Said,
    SignedHello,
)

__all__ = [
    "AUDIT",
    "CIVIC",
    "GROUND",
    "LINK_MESSAGES",
    "PULSE",
    "REVOKE",
    "SEEK",
    "ActDone",
    "ActFor",
    "Attached",
    "Batch",
    "Beaten",
    "Border",
    "Came",
    "Cancel",
    "CellAsk",
    "CellDelta",
    "CellPart",
    "CellRefused",
    "CellRoot",
    "CellRoots",
    "CellState",
    "CellStored",
    "CellTwigs",
    "CivicFile",
    "CivicFiled",
    "Commit",
    "CommitAck",
    "CommitNak",
    "DirectoryNews",
    "DirectoryPut",
    "Found",
    "LinkMessage",
    "Load",
    "Phase",
    "Prepare",
    "Regions",
    "Revoked",
    "Sanctioned",
    "SeatReady",
    "SeatRefused",
    "Seek",
    "Spoken",
    "Told",
    "Twig",
    "WhoAsk",
    "WhoTell",
]


GROUND: Final = "ground"  # the capability to hear Regions, and to read a map of format 2
PULSE: Final = "pulse"  # the capability to hear Phase and Load
REVOKE: Final = "revoke"  # the capability to hear Revoked
SEEK: Final = "seek"  # the capability to hear Seek, Found and Came
AUDIT: Final = "audit"  # the capability to hear CellRoots, CellAsk, CellTwigs and CellPart
CIVIC: Final = "civic"  # the capability to hear CivicFile and CivicFiled


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
    """The avatar is yours: good for one incarnation of the receiver and one reservation, never redirected.

    `told` names what it was told lately as somebody in a place.
    """

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
    told: Annotated[tuple[Ticket, ...], Size(0, 8)] = ()


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
    tick_ms: U16 = TICK_MS


@dataclass(frozen=True, slots=True)
class Phase:
    """When this left (`t_us`, the sender's boot clock), what the city clock said, and whose clock that is.

    The city clock comes from `root` over so many `hops`; the root makes `beat` grow (0: do not follow it yet).
    `echo_us` is the `t_us` of the last one heard of you, which was `held_us` ago; 0: none was.
    """

    KIND: ClassVar[int] = 0x11
    t_us: U53
    city_us: Annotated[int, Range(-(2**53) + 1, 2**53 - 1)]
    root: Key
    root_number: U53
    hops: U8
    beat: U32
    echo_us: U53 = 0
    held_us: U53 = 0


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the sender is (thousandths), how many clients it has and may have, its tick, its shed level."""

    KIND: ClassVar[int] = 0x12
    busy: U16
    clients: U16
    clients_max: U16
    tick_ms: U16
    shed: U8 = 0


@dataclass(frozen=True, slots=True)
class Regions:
    """How many people of the sender stand in each of these leaves of the map, and what its operator calls it."""

    KIND: ClassVar[int] = 0x13
    cells: Annotated[tuple[CellCode, ...], Size(0, REGIONS_TOLD_MAX)]
    people: Annotated[tuple[U32, ...], Size(0, REGIONS_TOLD_MAX)]
    name: NodeName = ""


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
class ActFor:
    """To the holder of the ground that an act is about: do it for this avatar of mine; `pose` is where it was asked.

    `granted`: it has shown a grant that lets it strike the bell at any time. `at_ms`: it was kept since then; 0: it was
    not.
    """

    KIND: ClassVar[int] = 0x34
    avatar: AvatarId
    login_ms: U53
    birth: Birth
    act: Act
    pose: Pose
    granted: bool = False
    at_ms: U53 = 0


@dataclass(frozen=True, slots=True)
class ActDone:
    """What an act of your avatar came to, named as ActFor named it."""

    KIND: ClassVar[int] = 0x35
    avatar: AvatarId
    login_ms: U53
    n: U32
    done: Done
    name: Annotated[bytes, Size(0, 16)] = b""


@dataclass(frozen=True, slots=True)
class CellRoot:
    """The digest over all of a cell's objects as they are with change `n` under `epoch`."""

    cell: CellCode
    epoch: Annotated[int, Range(0, 2**63 - 1)]
    n: U53
    root: Digest


@dataclass(frozen=True, slots=True)
class CellRoots:
    """Holder to standby: this is what these cells are; who has something else asks where it differs."""

    KIND: ClassVar[int] = 0x36
    roots: Annotated[tuple[CellRoot, ...], Size(1, 256)]


@dataclass(frozen=True, slots=True)
class CellAsk:
    """To the holder: what are the children of these paths of the cell's tree, and what is below these leaves?

    As of change `n` under `epoch`. Both 0, with the one path "": as it is now; the answer says which change that is.
    """

    KIND: ClassVar[int] = 0x37
    cell: CellCode
    epoch: Annotated[int, Range(0, 2**63 - 1)]
    n: U53
    paths: Annotated[tuple[Path, ...], Size(0, 16)] = ()
    leaves: Annotated[tuple[Path, ...], Size(0, 64)] = ()


@dataclass(frozen=True, slots=True)
class Twig:
    """A node of a cell's tree: its path, how many items are below, their digest."""

    path: Path
    items: U32
    digest: Digest


@dataclass(frozen=True, slots=True)
class CellTwigs:
    """All children of `paths`, with anything below them."""

    KIND: ClassVar[int] = 0x38
    cell: CellCode
    epoch: Annotated[int, Range(0, 2**63 - 1)]
    n: U53
    paths: Annotated[tuple[Path, ...], Size(1, 16)]
    twigs: Annotated[tuple[Twig, ...], Size(0, 256)] = ()


@dataclass(frozen=True, slots=True)
class CellPart:
    """Everything below `leaves`."""

    KIND: ClassVar[int] = 0x39
    cell: CellCode
    epoch: Annotated[int, Range(0, 2**63 - 1)]
    n: U53
    leaves: Annotated[tuple[Path, ...], Size(1, 64)]
    part: Annotated[bytes, Size(0, 1 << 24)]


@dataclass(frozen=True, slots=True)
class WhoAsk:
    """Who are these avatars of yours?"""

    KIND: ClassVar[int] = 0x40
    ids: Annotated[tuple[AvatarId, ...], Size(1, 256)]


@dataclass(frozen=True, slots=True)
class WhoTell:
    """The profiles of `ids`, and their roles as in PROFILES, in the same order."""

    KIND: ClassVar[int] = 0x41
    ids: Annotated[tuple[AvatarId, ...], Size(0, 256)]
    profiles: Annotated[tuple[Profile, ...], Size(0, 256)]
    roles: Annotated[tuple[Role, ...], Size(0, 256)] = ()


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
class Told:
    """Tell those of yours who are in this place, once: `name` is the same whoever passes it on, however often."""

    KIND: ClassVar[int] = 0x52
    name: Ticket
    place: Code
    code: Code
    sentence: Sentence = ""


@dataclass(frozen=True, slots=True)
class Seek:
    """Does this avatar welcome `by`, whom `node` in its life `incarnation` owns? Yes is said to that node, under the
    ticket `r`; no is not said. A home passes it on, once."""

    KIND: ClassVar[int] = 0x53
    avatar: AvatarId
    by: AvatarId
    r: Ticket
    node: Key
    incarnation: U53
    passed: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Whom `by` seeks under the ticket `r` welcomes it, and stands at `pose`; without one: rides a bus."""

    KIND: ClassVar[int] = 0x54
    by: AvatarId
    r: Ticket
    pose: Pose | None = None


@dataclass(frozen=True, slots=True)
class Came:
    """To who answered Found: `by`, called `name`, now stands beside this avatar of yours."""

    KIND: ClassVar[int] = 0x55
    avatar: AvatarId
    by: AvatarId
    name: Annotated[str, Size(1, 32)]


@dataclass(frozen=True, slots=True)
class Sanctioned:
    """A moderator has ordered this (`world.moderation`); it proves itself."""

    KIND: ClassVar[int] = 0x60
    order: Annotated[bytes, Size(1, 1 << 14)]


@dataclass(frozen=True, slots=True)
class Revoked:
    """A key or a grant was taken back, or a key has a next one (`p2pworld.revocation`); it proves itself."""

    KIND: ClassVar[int] = 0x61
    notice: Annotated[bytes, Size(1, 1 << 12)]


@dataclass(frozen=True, slots=True)
class CivicFile:
    """To the holder of the log that it names: somebody filed this with me. `request` is mine, and new."""

    KIND: ClassVar[int] = 0x70
    request: U53
    submission: Annotated[bytes, Size(1, CIVIC_SUBMISSION_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class CivicFiled:
    """What became of your request, as FILED says it."""

    KIND: ClassVar[int] = 0x71
    request: U53
    receipt: Annotated[bytes, Size(0, RECEIPT_BYTES_MAX)] = b""
    reason: Annotated[str, Size(0, 40)] = ""
    sentence: Sentence = ""
    more: bool = False


LinkMessage = (
    Prepare | SeatReady | SeatRefused | Attached | Commit | CommitAck | CommitNak | Cancel | Border | DirectoryPut
    | DirectoryNews | CellDelta | CellState | CellStored | CellRefused | WhoAsk | WhoTell | Spoken | Beaten
    | Sanctioned | ActFor | ActDone | Told | Phase | Load | Regions | Seek | Found | Came | Revoked
    | CellRoots | CellAsk | CellTwigs | CellPart | CivicFile | CivicFiled
)  # fmt: skip
LINK_MESSAGES: tuple[type, ...] = (
    Prepare, SeatReady, SeatRefused, Attached, Commit, CommitAck, CommitNak, Cancel, Border, DirectoryPut,
    DirectoryNews, CellDelta, CellState, CellStored, CellRefused, WhoAsk, WhoTell, Spoken, Beaten,
    Sanctioned, ActFor, ActDone, Told, Phase, Load, Regions, Seek, Found, Came, Revoked, CellRoots, CellAsk,
    CellTwigs, CellPart, CivicFile, CivicFiled,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """What one node sends another at once: the map version it was sent under, and messages in order."""

    map_version: int
    messages: tuple[LinkMessage, ...]
