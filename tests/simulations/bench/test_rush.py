"""A rush in small: six hundred want thirty places within seconds, and the process that writes the log is killed."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from p2pworld.civic.transaction import Leaf
from simulations.bench.civic.citizens import read_filings
from simulations.bench.crowd.run import BenchFailed
from simulations.bench.rush.made import SERVICE, STREAM, make_ground
from simulations.bench.rush.run import Rush, compare, read_leaves, run_rush

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


SMALL = Rush(citizens=600, places=30, seconds=4.0)


@dataclass
class Seen:
    """What was seen of a rush: its figures, and what they were made of."""

    figures: dict[str, Any]
    filings: list[bytes]
    citizens: list[dict[str, Any]]
    leaves: list[Leaf]
    key: str

    def compared(self) -> dict[str, Any]:
        return compare(self.filings, self.citizens, self.leaves, self.key, SMALL)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder: Path = tmp_path_factory.mktemp("rush") / "rush"
    figures = run_rush(SMALL, folder)
    told = json.loads((folder / "told").read_text("utf-8").splitlines()[1])
    leaves = read_leaves(folder / "city" / "node-1-log" / STREAM)
    return Seen(figures, read_filings(folder / "filings"), told["citizens"], leaves, figures["log_key"])


def test_thirty_get_a_place_once_and_all_others_are_told_why(seen: Seen) -> None:
    """`run_rush` fails if anybody is told nothing, two things, or what the log does not say."""
    told = seen.figures
    assert told["bookings"] == SMALL.places
    assert told["told_why_not"] == {"slot-taken": SMALL.citizens - SMALL.places}
    assert told["asked_again_and_told_the_same"] > 0
    assert told["killed_at_s"] is not None
    assert told["all_answered_s"] < SMALL.patience_s
    assert told["connections"] > SMALL.citizens
    assert seen.compared()["bookings"] == SMALL.places


def loser(seen: Seen) -> dict[str, Any]:
    return next(one for one in seen.citizens if one["answers"][0][0] != 200)


def winner(seen: Seen) -> dict[str, Any]:
    return next(one for one in seen.citizens if one["answers"][0][0] == 200)


def tells_nothing(seen: Seen) -> None:
    loser(seen)["answers"] = []


def tells_two_things(seen: Seen) -> None:
    one = loser(seen)
    one["answers"].append([409, json.dumps({"reason": "slot-past", "ko": "늦었어요", "en": "late"})])


def tells_a_winner_no(seen: Seen) -> None:
    winner(seen)["answers"].append(loser(seen)["answers"][0])


def tells_no_words(seen: Seen) -> None:
    one = loser(seen)
    one["answers"] = [[409, json.dumps(json.loads(one["answers"][0][1]) | {"ko": ""})]]


def shows_anothers_receipt(seen: Seen) -> None:
    first, *_, last = (one for one in seen.citizens if one["answers"][0][0] == 200)
    first["answers"] = last["answers"]


def takes_one_twice(seen: Seen) -> None:
    seen.leaves.append(next(leaf for leaf in seen.leaves if leaf.filing.type == SERVICE))


def gives_a_seat_twice(seen: Seen) -> None:
    seen.leaves.append(next(leaf for leaf in seen.leaves if leaf.filing.type == "slot-event"))


def forgets_a_seat(seen: Seen) -> None:
    at = next(at for at, leaf in enumerate(seen.leaves) if leaf.filing.type == "slot-event")
    seen.leaves[at] = replace(seen.leaves[at], filing=replace(seen.leaves[at].filing, type="nothing"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (tells_nothing, "told nothing"),
        (tells_two_things, "was told"),
        (tells_a_winner_no, "was told"),
        (tells_no_words, "not told in words"),
        (shows_anothers_receipt, "proves nothing"),
        (takes_one_twice, "in the log twice"),
        (gives_a_seat_twice, "given twice"),
        (forgets_a_seat, "has no seat"),
    ],
)
def test_what_is_not_as_it_should_be_is_found(seen: Seen, wrong: Callable[[Seen], None], words: str) -> None:
    changed = Seen(seen.figures, seen.filings, deepcopy(seen.citizens), list(seen.leaves), seen.key)
    wrong(changed)
    with pytest.raises(BenchFailed, match=words):
        changed.compared()


def test_a_burst_over_connections_that_were_open_before(tmp_path: Path) -> None:
    """Five want each seat of four slots; nobody is cut off, for nobody has to connect."""
    told = run_rush(
        Rush(citizens=200, places=40, seats=10, seconds=1.0, kill=None, kept=True), tmp_path / "rush"
    )
    assert told["bookings"] == 40
    assert told["told_why_not"] == {"slot-taken": 160}
    assert told["killed_at_s"] is None
    assert told["kept_used"] == 200


def test_places_are_whole_slots(tmp_path: Path) -> None:
    made = make_ground(tmp_path / "whole", 60, 4, 29_000_000)
    assert len(made.slots) == len(set(made.slots)) == 15
    with pytest.raises(ValueError, match="no slots of 7"):
        make_ground(tmp_path / "broken", 60, 7, 29_000_000)
