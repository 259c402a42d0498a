"""Going to a friend: only where one is welcome, and nobody learns more from asking.

Whom a person welcomes is kept with their socket, on the node that owns them, as blocks are: never written down, told
again by the client to every node it comes to. Whoever asks to be taken to a friend is sought: here, or by a SEEK to the
homes of the directory, one of which passes it on once. The friend's node answers only to say yes: everything else is
silence, and after `SEEK_S`, always the same, the asker is told the same. So nobody finds out by asking whether somebody
is in the city, or has blocked them. A ticket names each SEEK; no node that was not asked knows it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.ids import Incarnation
from p2pworld.limits import FRIENDS_MAX, SEEK_S, SEEKS_BURST, SEEKS_PER_S
from p2pworld.messages import SEEK, Came, Found, Notice, Seek, ToClient, ToPeer
from p2pworld.world.bucket import Bucket
from p2pworld.world.crowd import MINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from p2pworld.messages import Friend, Instant, Pose
    from p2pworld.world.crowd import Crowd
    from p2pworld.world.outbox import Outbox
    from p2pworld.world.presence import Nonces

__all__ = ["Friends"]


@dataclass(frozen=True, slots=True)
class _Seeking:
    """One who waits to be taken to a friend."""

    conn: int
    friend: int
    ticket: bytes
    until_s: float


class Friends:
    """Whom the people of one node welcome, and whom they seek.

    `blocks` says whether the client of a socket has blocked an avatar; `arrive` takes a row beside a pose, if it may;
    `name_of` names an avatar of mine.
    """

    def __init__(
        self,
        crowd: Crowd,
        out: Outbox,
        tickets: Nonces,
        blocks: Callable[[int, int], bool],
        arrive: Callable[[int, Pose, Instant], bool],
        name_of: Callable[[int], str],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._crowd, self._out, self._tickets = crowd, out, tickets
        self._blocks, self._arrive, self._name_of = blocks, arrive, name_of
        self._able: set[Incarnation] = set()  # linked, and able to hear a SEEK
        self._welcomed: defaultdict[int, set[int]] = defaultdict(set)  # play socket -> avatars
        self._asked: dict[int, Bucket] = {}  # by play socket
        self._seeking: dict[int, _Seeking] = {}  # by who seeks

    def link_up(self, peer: Incarnation, caps: tuple[str, ...]) -> None:
        """A node is linked; one of an older release is asked nothing."""
        if SEEK in caps:
            self._able.add(peer)

    def link_down(self, peer: Incarnation) -> None:
        """What it was asked, it will not answer."""
        self._able.discard(peer)

    # ------------------------------------------------------------------------------------------- clients

    def welcome(self, conn: int, friend: Friend) -> None:
        """Let this avatar come to this client, or no longer."""
        welcomed = self._welcomed[conn]
        if not friend.on:
            welcomed.discard(friend.avatar)
        elif friend.avatar in welcomed or len(welcomed) < FRIENDS_MAX:
            welcomed.add(friend.avatar)
        else:
            self._tell(conn, "friends-full", f"At most {FRIENDS_MAX} friends can be welcome at a time.")

    def seek(
        self, conn: int, avatar: int, friend: int, homes: Iterable[Incarnation], who: Incarnation, now: Instant
    ) -> None:  # fmt: skip
        """An avatar of mine wishes to be with a friend, of whom these `homes` know; I am `who`."""
        bucket = self._asked.setdefault(conn, Bucket(SEEKS_BURST, now.boot_s))
        if not bucket.take(SEEKS_PER_S, SEEKS_BURST, now.boot_s):
            self._tell(conn, "friend-rate", "You ask for friends too often; wait a little.")
            return
        seek = Seek(friend, avatar, self._tickets.draw(16), who.node, who.number)
        self._seeking[avatar] = _Seeking(conn, friend, seek.r, now.boot_s + SEEK_S)
        self.counters["seeks"] += 1
        if self._row_of(friend) is not None:
            answer = self._answer(seek)
            if answer is not None:
                self.found(who, answer, now)
        else:
            self._out.sends.extend(ToPeer(home, seek) for home in homes if home in self._able)

    def no_longer(self, avatar: int) -> None:
        """It wishes to be elsewhere by now."""
        self._seeking.pop(avatar, None)

    def lost(self, conn: int) -> None:
        """The socket is gone: its number will be another's."""
        self._welcomed.pop(conn, None)
        self._asked.pop(conn, None)
        for avatar in [avatar for avatar, seeking in self._seeking.items() if seeking.conn == conn]:
            del self._seeking[avatar]

    def tick(self, now: Instant) -> None:
        """Whoever was not welcomed in time, for whatever reason, is told so."""
        for avatar in [avatar for avatar, seeking in self._seeking.items() if seeking.until_s <= now.boot_s]:
            conn = self._seeking.pop(avatar).conn
            self._tell(conn, "friend-away", "You cannot go to that person just now.")

    # ------------------------------------------------------------------------------------------- nodes

    def sought(self, peer: Incarnation, seek: Seek, passed_to: Incarnation | None) -> None:
        """Another node seeks somebody: answer if they are mine and say yes, or pass it on to the node that is said to
        own them."""
        asker = Incarnation(seek.node, seek.incarnation)
        if not seek.passed and asker != peer:
            self.counters["seek-not-yours"] += 1
        elif self._row_of(seek.avatar) is not None:
            answer = self._answer(seek)
            if answer is not None and asker in self._able:
                self._out.sends.append(ToPeer(asker, answer))
        elif passed_to in self._able and not seek.passed:
            assert passed_to is not None
            on = Seek(seek.avatar, seek.by, seek.r, seek.node, seek.incarnation, passed=True)
            self._out.sends.append(ToPeer(passed_to, on))

    def found(self, peer: Incarnation, found: Found, now: Instant) -> None:
        """The friend says yes: the seeker stands beside them, if that is open to it, and the friend is told."""
        seeking, row = self._seeking.get(found.by), self._row_of(found.by)
        if seeking is None or seeking.ticket != found.r or row is None:
            self.counters["found-not-sought"] += 1
            return
        del self._seeking[found.by]
        if found.pose is None:
            self._tell(
                seeking.conn, "friend-rides", "Your friend is on a bus; ask again when they are off it."
            )
        elif self._arrive(row, found.pose, now):
            self.counters["friends-met"] += 1
            came = Came(seeking.friend, found.by, self._name_of(found.by))
            if self._row_of(seeking.friend) is not None:
                self.came(came)
            else:
                self._out.sends.append(ToPeer(peer, came))

    def came(self, came: Came) -> None:
        """Tell my client that somebody it welcomes has come to it."""
        row = self._row_of(came.avatar)
        if row is not None and self._welcomes(row, came.by):
            self._tell(int(self._crowd.conn[row]), "friend-came", f"{came.name} has come to you.")

    # ------------------------------------------------------------------------------------------- inside

    def _answer(self, seek: Seek) -> Found | None:
        """What an avatar of mine says to who seeks it; None: nothing."""
        row = self._row_of(seek.avatar)
        if row is None or not self._welcomes(row, seek.by):
            return None
        return Found(seek.by, seek.r, None if self._crowd.vehicle[row] else self._crowd.pose(row))

    def _welcomes(self, row: int, avatar: int) -> bool:
        conn = int(self._crowd.conn[row])
        return avatar in self._welcomed.get(conn, ()) and not self._blocks(conn, avatar)

    def _row_of(self, avatar: int) -> int | None:
        row = self._crowd.row_of.get(avatar)
        return None if row is None or self._crowd.kind[row] != MINE else row

    def _tell(self, conn: int, code: str, sentence: str) -> None:
        self.counters[code] += 1
        self._out.sends.append(ToClient(conn, Notice(code, sentence)))
