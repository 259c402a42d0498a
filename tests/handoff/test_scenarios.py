"""Each path of a handoff as a text: what each node hears, and what it does and becomes.

A line `A <- …` feeds an event to node A; the lines under it are what the real tables answered: `A -> …` for each thing
to do, `A is …` for where row and seat stand if either changed. `A lapses`, `A renews` and `A restarts` change the node.
Everything else is prose. The texts lie in tests/scenarios; UPDATE=1 writes the answers anew, to be read in review.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest

from p2pworld.ids import Incarnation, Login
from p2pworld.world.handoff import (
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
    RowAt,
    RowTimer,
    SeatAt,
    SeatTimer,
    SocketLost,
    TicketShown,
    step,
)

STORIES = sorted((Path(__file__).parents[1] / "scenarios").glob("handoff_*.txt"))

_ANSWERS: dict[str, type[GotReady | GotAttached | GotAck | GotNak | GotCancel]] = {
    "ready": GotReady,
    "attached": GotAttached,
    "ack": GotAck,
    "nak": GotNak,
    "cancel": GotCancel,
}


class Play:
    """The nodes of one story."""

    def __init__(self) -> None:
        self.persons: defaultdict[str, Person] = defaultdict(lambda: NOBODY)
        self.numbers: defaultdict[str, int] = defaultdict(lambda: 1)
        self.lapsed: set[str] = set()

    def line(self, line: str) -> list[str]:
        """What one line of a story becomes: itself and, if it is an event, the answers."""
        words = line.split()
        if len(words) > 2 and words[1] == "<-":
            return [line, *self._event(words[0], words[2:])]
        if len(words) == 2 and words[1] in ("lapses", "renews", "restarts"):
            self._change(*words)
        return [line]

    def _change(self, name: str, what: str) -> None:
        if what == "lapses":
            self.lapsed.add(name)
        else:
            self.lapsed.discard(name)
        if what == "restarts":
            self.numbers[name] += 1
            del self.persons[name]

    def _event(self, name: str, words: list[str]) -> list[str]:
        before = self.persons[name]
        me = self._who(f"{name}#{self.numbers[name]}")
        after, outs = step(before, self._parse(words), me=me, lapsed=name in self.lapsed)
        self.persons[name] = after
        _tidy(after)
        lines = [f"    {name} -> {_out(out)}" for out in outs]
        if (after.row.at, after.seat.at) != (before.row.at, before.seat.at):
            lines.append(f"    {name} is {after.row.at.name}, its seat {after.seat.at.name}")
        return lines or ["    nothing"]

    def _who(self, word: str) -> Incarnation:
        name, _, number = word.partition("#")
        return Incarnation(name.encode().ljust(32), int(number) if number else self.numbers[name])

    def _parse(self, words: list[str]) -> Event:
        match words:
            case ["hello", login, "on", conn]:
                return Arrived(_login(login), int(conn))
            case ["ticket", r, login, "on", conn]:
                return TicketShown(r.encode(), _login(login), int(conn))
            case ["left", "to", peer, k]:
                return Left(self._who(peer), _number(k))
            case ["came", "back"]:
                return CameBack()
            case ["prepare", "from", peer, k, login, fits, r]:
                return GotPrepare(self._who(peer), _number(k), _login(login), fits == "fits", r.encode())
            case ["refused", "from", peer, k]:
                return GotRefused(self._who(peer), _number(k))
            case [("ready" | "attached" | "ack" | "nak" | "cancel") as kind, "from", peer, k, r]:
                return _ANSWERS[kind](self._who(peer), _number(k), r.encode())
            case ["commit", "from", peer, k, r, login, hop, "for", number]:
                source = self._who(peer)
                return GotCommit(source, _number(k), r.encode(), _number(number), _login(login), _number(hop))
            case ["ended", peer]:
                return NodeEnded(self._who(peer))
            case ["row", "timer"]:
                return RowTimer()
            case ["seat", "timer"]:
                return SeatTimer()
            case ["lost", conn]:
                return SocketLost(int(conn))
            case ["outlived", login]:
                return Outlived(_login(login))
        raise ValueError(f"no event reads {' '.join(words)!r}")


def _tidy(person: Person) -> None:
    """What is over leaves nothing behind: no socket, no ticket, no destination."""
    row, seat = person.row, person.seat
    match row.at:
        case RowAt.NONE:
            assert row == NO_ROW
        case RowAt.DORMANT:
            assert row == Row(RowAt.DORMANT, row.login, row.hop)
        case RowAt.OWNED:
            assert row == Row(RowAt.OWNED, row.login, row.hop, row.conn)
            assert row.conn != NO_CONN
    assert seat.at is not SeatAt.EMPTY or seat == EMPTY_SEAT


def _number(word: str) -> int:
    """The number after a letter or #: k2, hop1, #1."""
    return int(word.lstrip("abcdefghijklmnopqrstuvwxyz#"))


def _login(word: str) -> Login:
    return Login(_number(word.lower()), bytes(16))


def _out(out: Out) -> str:
    words = [out.act.name.lower()]
    if out.peer is not None:
        words += [f"{out.peer.node.decode().strip()}#{out.peer.number}", f"k{out.k}"]
    if out.r:
        words.append(out.r.decode())
    if out.hop:
        words.append(f"hop{out.hop}")
    if out.conn >= 0:
        words.append(f"on {out.conn}")
    return " ".join(words)


def played(text: str) -> str:
    """The story with the answers that the tables give now."""
    play = Play()
    kept = [line for line in text.splitlines() if not line.startswith("    ")]
    return "".join(f"{answered}\n" for line in kept for answered in play.line(line))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_tables_answer_as_the_story_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    answered = played(text)
    if os.environ.get("UPDATE"):
        path.write_text(answered, encoding="utf-8")
    assert text == answered


def test_there_is_a_story_for_each_path() -> None:
    assert len(STORIES) >= 16


def test_a_story_that_says_otherwise_is_seen() -> None:
    assert played("A <- hello L1 on 1\n    A is DORMANT, its seat EMPTY\n") == (
        "A <- hello L1 on 1\n    A -> adopt on 1\n    A is OWNED, its seat EMPTY\n"
    )
