"""What clients and nodes say to each other; `KIND` is the first byte of each message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from p2pworld.limits import CIVIC_SUBMISSION_BYTES_MAX, RECEIPT_BYTES_MAX
from p2pworld.messages.fields import (
    U8,
    U16,
    U32,
    U53,
    AvatarId,
    Birth,
    CellCode,
    Centimetres,
    Chain,
    Code,
    Key,
    Nonce,
    ObjectId,
    Pose,
    Profile,
    Range,
    Role,
    Sentence,
    Signature,
    Size,
    Speech,
    Ticket,
    Url,
)

__all__ = [
    "PLAY_MESSAGES",
    "Act",
    "Beat",
    "Block",
    "Bye",
    "Challenge",
    "Correct",
    "Done",
    "File",
    "Filed",
    "Friend",
    "Go",
    "Group",
    "Hello",
    "Moved",
    "Notice",
    "Objects",
    "Pace",
    "PlayMessage",
    "Profiles",
    "Report",
    "Said",
    "Say",
    "SignedHello",
    "Welcome",
    "Who",
    "WorldObject",
]


@dataclass(frozen=True, slots=True)
class Hello:
    """The client's answer to CHALLENGE: who it is, which login it opens or continues, and its signature over both.

    A fresh login has an empty `birth`; a HELLO with a `ticket` names the whole login it carries over. `after` is the
    login a reconnecting device continues. `grants` is a chain that gives `key` a role; it proves itself. The signature
    covers the challenge and the canonical map of every field but `v`, `key`, `caps`, `grants` and `sig`.
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
    grants: Chain = ()


@dataclass(frozen=True, slots=True)
class SignedHello:
    """A fresh HELLO and the challenge it answered: proof to anybody that a person opened this login."""

    node: Key
    nonce: Nonce
    hello: Hello


@dataclass(frozen=True, slots=True)
class WorldObject:
    """One object as a client sees it: `kind` is `lantern` (with a wish), `note`, `bell` (with a count) or `ticket`, a
    number drawn at a counter: `count` is the number, `text` the avatar that called it, empty before.

    `pending`: the node that shows it keeps it until it can be made durable; others do not see it yet.
    """

    id: ObjectId
    kind: Code
    east_cm: Centimetres
    north_cm: Centimetres
    text: Annotated[str, Size(0, 200)] = ""
    by: Annotated[int, Range(0, 2**53 - 1)] = 0
    count: U53 = 0
    at_ms: U53 = 0
    pending: bool = False


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
class Friend:
    """From now on (or, `on` false, no longer) this avatar is welcome to come to where this client is."""

    KIND: ClassVar[int] = 0x54
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
    """Do something that lasts: `verb` is `hang` (a lantern, `text` its wish), `note` (pin `text` to the board here),
    `ring` (the bell `target`, or the place's), `start` (a rehearsal of the programme `text`), `draw` (a number at the
    counter here) or `call` (the next number there, or the ticket `target`).

    A retry with the same `n` under the same login does nothing twice. `name`, the client's own random name for the act,
    makes that so under a later login too. `east_cm`, `north_cm` is where it was first asked for, and stays so in each
    retry, wherever the avatar is by then; both 0: where the avatar is. `keep`: if nobody can make it durable now, let
    the node I am at keep it, and do it when somebody can.
    """

    KIND: ClassVar[int] = 0x46
    n: U32
    verb: Code
    text: Annotated[str, Size(0, 200)] = ""
    target: Annotated[bytes, Size(0, 16)] = b""
    name: Annotated[bytes, Size(0, 16)] = b""
    east_cm: Centimetres = 0
    north_cm: Centimetres = 0
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to ACT `n`: `durable` is `standby` or `disk`, or empty with the `reason` why it was refused.

    `pending`: it is kept on this node's disk, and another answer follows when it is done or refused.
    """

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
    """The profiles of `ids`, in the same order; unknown ones are left out. `roles`, likewise, is what each has proved
    to be (`official`, `moderator`), empty for most; no list when nobody has."""

    KIND: ClassVar[int] = 0x49
    ids: Annotated[tuple[AvatarId, ...], Size(0, 64)]
    profiles: Annotated[tuple[Profile, ...], Size(0, 64)]
    roles: Annotated[tuple[Role, ...], Size(0, 64)] = ()


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
    """Something a person should know, as a code and a sentence; with `pace`, the length of a tick from now on."""

    KIND: ClassVar[int] = 0x4B
    code: Code
    sentence: Sentence = ""
    tick_ms: U16 = 0


@dataclass(frozen=True, slots=True)
class Go:
    """Take me to a place by its name (teleport); `place` is `friend`: to `avatar`, who has told the city by FRIEND that
    I am welcome."""

    KIND: ClassVar[int] = 0x4C
    place: Code
    avatar: Annotated[int, Range(0, 2**53 - 1)] = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Send your poses `shift_ms` later than you do, so that they arrive just before the tick."""

    KIND: ClassVar[int] = 0x4D
    shift_ms: Annotated[int, Range(-1000, 1000)]


@dataclass(frozen=True, slots=True)
class File:
    """Put this into the log that it names (`p2pworld.civic.transaction`); with or without a HELLO before it."""

    KIND: ClassVar[int] = 0x55
    n: U32
    submission: Annotated[bytes, Size(1, CIVIC_SUBMISSION_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class Filed:
    """What became of FILE `n`: a `receipt`, or the `reason` why there is none.

    `more`: it is durable and in the log, and a second answer brings the receipt under a checkpoint that enough
    witnesses have signed, if they do.
    """

    KIND: ClassVar[int] = 0x56
    n: U32
    receipt: Annotated[bytes, Size(0, RECEIPT_BYTES_MAX)] = b""
    reason: Annotated[str, Size(0, 40)] = ""
    sentence: Sentence = ""
    more: bool = False


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
    | Pace | Bye | Beat | Block | Group | Report | Friend | File | Filed
)  # fmt: skip
PLAY_MESSAGES: tuple[type, ...] = (
    Hello, Challenge, Welcome, Moved, Say, Said, Act, Done, Objects, Who, Profiles, Correct, Notice, Go, Pace, Bye,
    Beat, Block, Group, Report, Friend, File, Filed,
)  # fmt: skip
