"""Voices: who hears what is said, beside whom it is said, and drums that sound everywhere at the same moment.

A SAY is signed by its speaker, so what is passed on proves itself. What is said near goes to those within earshot, here
and at the neighbours whose ground lies within it; at a place, to everybody there; in a group, to whoever has named its
secret 16 bytes; directly, to one person, found by the homes of the directory. Nothing is kept: what is not delivered at
once is gone, and the speaker of a direct word is told so when nobody is there to pass it on to.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.crypto.keys import verify_said
from p2pworld.limits import (
    BEAT_AHEAD_MS,
    BEAT_HEAR_CM,
    BEAT_LEAD_MS,
    BEATS_PER_S,
    BLOCKS_MAX,
    GROUPS_MAX,
    HEAR_CM,
    SAY_AHEAD_MS,
    SAYS_BURST,
    SAYS_PER_S,
)
from p2pworld.messages import Beat, Beaten, Notice, Said, Spoken, ToClient, ToPeer
from p2pworld.world.bucket import Bucket
from p2pworld.world.crowd import MINE
from p2pworld.world.text import line_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from numpy.typing import NDArray

    from p2pworld.errors import Refusal
    from p2pworld.ids import Incarnation
    from p2pworld.messages import Block, Group, Instant, Pose, Profile, Say
    from p2pworld.world.crowd import Crowd
    from p2pworld.world.outbox import Outbox
    from p2pworld.world.region import RegionIndex

__all__ = ["Speech"]

TEXT_MAX: Final = 300
HUSHED_PER_S: Final = 0.2  # how often one who is muted is told so while drumming


class Speech:
    """What this node's clients say and hear. `place_of` names the place at a point, or None."""

    def __init__(self, crowd: Crowd, out: Outbox, place_of: Callable[[int, int], str | None]) -> None:
        self.counters: Counter[str] = Counter()
        self._crowd, self._out, self._place_of = crowd, out, place_of
        self._says: dict[int, Bucket] = {}
        self._beats: dict[int, Bucket] = {}
        self._hushed: dict[int, Bucket] = {}
        self._blocked: defaultdict[int, set[int]] = defaultdict(set)  # play socket -> avatars
        self._groups: defaultdict[bytes, set[int]] = defaultdict(set)  # name -> play sockets
        self._in: defaultdict[int, set[bytes]] = defaultdict(set)  # play socket -> names

    # ------------------------------------------------------------------------------------------- clients

    def say(
        self,
        conn: int,
        avatar: int,
        key: bytes,
        profile: Profile,
        pose: Pose,
        say: Say,
        index: RegionIndex,
        links: Collection[Incarnation],
        homes: Iterable[Incarnation],
        now: Instant,
    ) -> None:
        """Pass on what a client of mine says, or tell it in a sentence why not."""
        bucket = self._says.setdefault(conn, Bucket(SAYS_BURST, now.boot_s))
        fault = line_fault(say.text, TEXT_MAX)
        if not bucket.take(SAYS_PER_S, SAYS_BURST, now.boot_s):
            self._refuse(conn, "say-rate", "You are speaking too fast; wait a moment.")
        elif fault is not None:
            self._refuse(conn, "say-text", fault)
        elif abs(say.ms - now.wall_ms) > SAY_AHEAD_MS:
            self._refuse(conn, "say-clock", "Your device's clock differs by more than two minutes.")
        elif not verify_said(key, say):
            self._refuse(conn, "say-signature", "The signature does not fit what was said.")
        elif say.channel == "group" and say.to not in self._in[conn]:
            self._refuse(conn, "say-group", "Join the group before you speak in it.")
        else:
            said = Said(
                avatar, key, profile.name, say.channel, say.text, say.ms, say.sig, pose.east_cm, pose.north_cm,
                say.to, say.avatar, profile.kind,
            )  # fmt: skip
            self.counters[f"said-{say.channel}"] += 1
            self._pass_on(conn, said, index, links, homes)

    def _pass_on(
        self,
        conn: int,
        said: Said,
        index: RegionIndex,
        links: Collection[Incarnation],
        homes: Iterable[Incarnation],
    ) -> None:
        match said.channel:
            case "near":
                peers: Iterable[Incarnation] = self._within(
                    said.east_cm, said.north_cm, HEAR_CM, index, links
                )
            case "place" if self._place_of(said.east_cm, said.north_cm) is None:
                self._refuse(conn, "say-place", "There is no place here; speak to those near you.")
                return
            case "place" | "group":
                peers = sorted(links)
            case "direct" if said.avatar:
                here = self._conn_of(said.avatar) >= 0
                peers = [] if here else [home for home in homes if home in links]
                if not here and not peers:
                    self._refuse(conn, "say-nobody", "That person is not in the city just now.")
                    return
                self.deliver(said)
                self._out.sends.append(ToClient(conn, said))
            case _:
                self._refuse(conn, "say-channel", "Channels are near, place, group and direct.")
                return
        if said.channel != "direct":
            self.deliver(said)
        self._out.sends.extend(ToPeer(peer, Spoken(said)) for peer in peers)

    def beat(
        self, conn: int, avatar: int, pose: Pose, beat: Beat, index: RegionIndex, links: Collection[Incarnation],
        now: Instant, muted: Refusal | None = None,
    ) -> None:  # fmt: skip
        """A drum: it sounds at the moment the client wishes, if that is soon, else a little later.

        Whoever is `muted` is told so, but not at each beat.
        """
        if muted is not None:
            self.counters["beat-muted"] += 1
            told = self._hushed.setdefault(conn, Bucket(1, now.boot_s))
            if told.take(HUSHED_PER_S, 1, now.boot_s):
                self._out.sends.append(ToClient(conn, Notice(muted.reason, muted.sentence)))
            return
        bucket = self._beats.setdefault(conn, Bucket(BEATS_PER_S, now.boot_s))
        if not bucket.take(BEATS_PER_S, BEATS_PER_S, now.boot_s):
            self.counters["beat-rate"] += 1
            return
        soon = 0 <= beat.at_ms - now.wall_ms <= BEAT_AHEAD_MS
        at_ms = beat.at_ms if soon else now.wall_ms + BEAT_LEAD_MS
        stamped = Beat(at_ms, beat.voice, avatar, pose.east_cm, pose.north_cm)
        self.counters["beats"] += 1
        self.sound(stamped)
        peers = self._within(pose.east_cm, pose.north_cm, BEAT_HEAR_CM, index, links)
        self._out.sends.extend(ToPeer(peer, Beaten(stamped)) for peer in peers)

    def block(self, conn: int, block: Block) -> None:
        """Let nothing that this avatar says reach this client, or let it again."""
        blocked = self._blocked[conn]
        if not block.on:
            blocked.discard(block.avatar)
        elif len(blocked) < BLOCKS_MAX:
            blocked.add(block.avatar)
        else:
            self._refuse(conn, "blocks-full", f"At most {BLOCKS_MAX} people can be blocked at a time.")

    def blocks(self, conn: int, avatar: int) -> bool:
        """Whether this client has blocked that avatar."""
        return avatar in self._blocked.get(conn, ())

    def group(self, conn: int, group: Group) -> None:
        """Hear a group, or no longer."""
        if not group.on:
            self._leave(conn, group.to)
        elif len(self._in[conn]) < GROUPS_MAX:
            self._in[conn].add(group.to)
            self._groups[group.to].add(conn)
        else:
            self._refuse(conn, "groups-full", f"At most {GROUPS_MAX} groups at a time.")

    def lost(self, conn: int) -> None:
        """The socket is gone: its number will be another's."""
        for name in list(self._in.pop(conn, ())):
            self._leave(conn, name)
        self._blocked.pop(conn, None)
        self._says.pop(conn, None)
        self._beats.pop(conn, None)
        self._hushed.pop(conn, None)

    # ------------------------------------------------------------------------------------------- delivering

    def deliver(self, said: Said) -> None:
        """Let those of my clients hear it whom it concerns and who have not blocked the speaker."""
        match said.channel:
            case "near":
                conns = self._conns_around(said.east_cm, said.north_cm, HEAR_CM)
            case "place":
                conns = self._conns_at(self._place_of(said.east_cm, said.north_cm))
            case "group":
                conns = sorted(self._groups.get(said.to, ()))
            case _:
                conn = self._conn_of(said.avatar)
                conns = [conn] if conn >= 0 else []
        for conn in conns:
            if not self.blocks(conn, said.id):
                self._out.sends.append(ToClient(conn, said))

    def sound(self, beat: Beat) -> None:
        """Let those of my clients around hear a drum."""
        for conn in self._conns_around(beat.east_cm, beat.north_cm, BEAT_HEAR_CM):
            if not self.blocks(conn, beat.id):
                self._out.sends.append(ToClient(conn, beat))

    def _conns_around(self, east_cm: int, north_cm: int, reach_cm: int) -> list[int]:
        crowd, rows = self._crowd, self._listening()
        de = crowd.east_cm[rows].astype(np.int64) - east_cm
        dn = crowd.north_cm[rows].astype(np.int64) - north_cm
        return list(crowd.conn[rows[de * de + dn * dn <= reach_cm * reach_cm]].tolist())

    def _conns_at(self, place: str | None) -> list[int]:
        if place is None:
            return []
        crowd, rows = self._crowd, self._listening()
        at = zip(crowd.east_cm[rows].tolist(), crowd.north_cm[rows].tolist(), strict=True)
        here = np.fromiter((self._place_of(east, north) == place for east, north in at), np.bool_, len(rows))
        return list(crowd.conn[rows[here]].tolist())

    def _listening(self) -> NDArray[np.int32]:
        rows = self._crowd.rows(MINE)
        return rows[self._crowd.conn[rows] >= 0]

    def _conn_of(self, avatar: int) -> int:
        row = self._crowd.row_of.get(avatar)
        return -1 if row is None or self._crowd.kind[row] != MINE else int(self._crowd.conn[row])

    def _within(
        self, east_cm: int, north_cm: int, reach_cm: int, index: RegionIndex, links: Collection[Incarnation]
    ) -> list[Incarnation]:
        """The linked holders of ground within reach of this point."""
        east, north = np.array([east_cm], np.int32), np.array([north_cm], np.int32)
        return [
            peer
            for number, peer in enumerate(index.holders)
            if number and peer in links and index.within(number, east, north, reach_cm)[0]
        ]

    def _leave(self, conn: int, name: bytes) -> None:
        self._in[conn].discard(name)
        members = self._groups.get(name)
        if members is not None:
            members.discard(conn)
            if not members:
                del self._groups[name]

    def _refuse(self, conn: int, code: str, sentence: str) -> None:
        self.counters[code] += 1
        self._out.sends.append(ToClient(conn, Notice(code, sentence)))
