"""`bench rush`: more citizens than places, all at once, and the process that writes the log is killed amid them.

A node runs as it would anywhere, with its log in a file. The crowd is a process of its own, all of whose submissions
were made before; so is what watches nothing but kills the node when half have come, and starts it again. Afterwards the
log is read as anybody reads it, and compared with what each citizen was told.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from client.gauges import percentile
from p2pworld.civic.receipts import check_filed
from p2pworld.civic.transaction import parse_leaf, parse_submission
from p2pworld.errors import RemoteError
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import VerifierKey
from p2pworld.merkle.tiles import TILE_WIDTH
from p2pworld.services.case_log import SLOT_EVENT
from shard_node.civic.folder import CHECKPOINT, PublishedLog
from simulations.bench.civic.citizens import write_filings
from simulations.bench.crowd import ground
from simulations.bench.crowd.nodes import cpu_s, machine
from simulations.bench.crowd.run import BenchFailed, until
from simulations.bench.rush.crowd import Job
from simulations.bench.rush.made import SERVICE, STREAM, Officials, make_ground, make_submissions
from simulations.processes import City, start_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from p2pworld.civic.transaction import Leaf
    from simulations.processes import NodeProcess

__all__ = ["Rush", "compare", "read_leaves", "run_rush"]

READY_S: Final = 60.0
CROWD: Final = "simulations.bench.rush.crowd"
TAKEN: Final = "slot-taken"


@dataclass(frozen=True, slots=True)
class Rush:
    """So many citizens want one of `places` within `seconds`; each slot has `seats` of them.

    The node is killed when `kill` of the seconds have passed; `kept`: over connections that are open before.
    """

    citizens: int = 10_000
    places: int = 500
    seats: int = 1
    seconds: float = 60.0
    kill: float | None = 0.5
    kept: bool = False
    patience_s: float = 120.0


def run_rush(wanted: Rush, folder: Path, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """The figures of one rush in `folder`, which is empty.

    Raises:
        BenchFailed: somebody was told what is not so, or two things, or nothing; or the node did not run.
    """
    minute = int(time.time()) // 60
    made = make_ground(folder / "services", wanted.places, wanted.seats, minute)
    with City(folder / "city", 1, (), dealt=ground.dealt(1)) as city:
        keys = city.keep_logs([STREAM], city.nodes, services=made.folder)
        say("making the submissions")
        who = Officials(city.office_key, city.signer("attestor").seed)
        filings = make_submissions(made, wanted.citizens, int(time.time()) // 60, who)
        write_filings(folder / "filings", filings)
        node = city.nodes[0]
        node.start()
        until(lambda: _holds(node), READY_S, lambda: f"the node is not ready: {node.log_tail()}")
        say(f"{wanted.citizens} citizens, {wanted.places} places")
        told, killed_at_s = _rushed(wanted, folder, node, say)
        say("reading the log")
        leaves = read_leaves(city.folder / f"{node.name}-log" / STREAM)
        outcome = compare(filings, told["citizens"], leaves, keys[STREAM], wanted)
        busy_s = cpu_s([node])
    waited = sorted(one["waited_s"] for one in told["citizens"])
    return {
        "bench": "rush",
        "citizens": wanted.citizens,
        "places": wanted.places,
        "seats": wanted.seats,
        "within_s": wanted.seconds,
        "kept_connections": wanted.kept,
        "kept_used": told["kept_used"],
        **outcome,
        "log_key": keys[STREAM],
        "all_answered_s": told["seconds"],
        "waited_s": {name: percentile(waited, share) for name, share in (("p50", 0.5), ("p99", 0.99))},
        "longest_s": waited[-1],
        "connections": told["connections"],
        "most_open": told["most_open"],
        "sent_away": told["trouble"],
        "killed_at_s": killed_at_s,
        "nobody_answered_for_s": told["silent_s"],
        "node_cpu_s_since_the_kill": round(busy_s, 1),
        "crowd_cpu_s": told["cpu_s"],
        "machine": machine(),
    }


def _holds(node: NodeProcess) -> bool:
    """Whether it takes what is filed: it is idle, or at work on a batch."""
    logs = node.ask_json("/healthz").get("civic", [])
    return bool(logs) and logs[0]["stage"] in ("idle", "committing")


def _rushed(
    wanted: Rush, folder: Path, node: NodeProcess, say: Callable[[str], None]
) -> tuple[dict[str, Any], float | None]:
    """What the crowd tells, and when the node was killed and started again, in seconds of the rush."""
    job = Job(
        node.web_url,
        str(folder / "filings"),
        0,
        wanted.citizens,
        wanted.seconds,
        kept=wanted.kept,
        patience_s=wanted.patience_s,
    )
    job.write(folder / "job")
    with (folder / "crowd.log").open("wb") as log, (folder / "told").open("w+b") as out:
        child = start_child(["-m", CROWD, str(folder / "job")], out, log, stdin=subprocess.PIPE)
        try:
            until(
                lambda: (folder / "told").stat().st_size > 0 or child.poll() is not None,
                READY_S,
                lambda: "the crowd is not ready",
            )
            assert child.stdin is not None
            child.stdin.write(b"begin\n")
            child.stdin.flush()
            begun_s = time.monotonic()
            killed_at_s = None
            if wanted.kill is not None:
                _pause(child, begun_s + wanted.kill * wanted.seconds)
                node.kill()
                killed_at_s = round(time.monotonic() - begun_s, 1)
                node.start()
                say(f"killed at {killed_at_s} s")
            child.wait(wanted.patience_s + READY_S)
        finally:
            child.kill()
            child.communicate()
    lines = (folder / "told").read_text("utf-8").splitlines()
    if len(lines) < 2:
        raise BenchFailed(f"the crowd ended: {(folder / 'crowd.log').read_text('utf-8', 'replace')[-2_000:]}")
    return json.loads(lines[1]), killed_at_s


def _pause(child: subprocess.Popen[bytes], until_s: float) -> None:
    """Until then, or until the crowd has gone."""
    try:
        child.wait(max(0.0, until_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return
    raise BenchFailed("everybody was answered before the node could be killed: let them come for longer")


def read_leaves(log: Path) -> list[Leaf]:
    """All leaves of a published log."""
    published = PublishedLog(log)
    note = published.note(CHECKPOINT)
    assert note is not None, "there is a log, because citizens have receipts of it"
    size = Checkpoint.parse(note.text).size
    bundles = (published.bundle(number, size) for number in range(-(-size // TILE_WIDTH)))
    return [parse_leaf(entry) for bundle in bundles for entry in bundle]


def compare(
    filings: list[bytes], citizens: list[dict[str, Any]], leaves: list[Leaf], vkey: str, wanted: Rush
) -> dict[str, Any]:
    """What came of it, once everybody was told what the log says, and only that.

    Raises:
        BenchFailed: something is not so; in words.
    """
    key = VerifierKey.parse(vkey)
    filed = {leaf.filing.key: index for index, leaf in enumerate(leaves) if leaf.filing.type == SERVICE}
    if len(filed) != sum(leaf.filing.type == SERVICE for leaf in leaves):
        raise BenchFailed("a booking stands in the log twice")
    seats = _seats(leaves)
    reasons: Counter[str] = Counter()
    asked_again = 0
    for one in citizens:
        submission = parse_submission(filings[one["n"]])
        if not one["answers"]:
            raise BenchFailed(f"citizen {one['n']} was told nothing in {wanted.patience_s:g} s")
        asked_again += len(one["answers"]) - 1
        index = filed.get(submission.filing.key)
        said = {json.loads(body)["reason"] for status, body in one["answers"] if status != 200}
        if len(said) > 1 or (said and index is not None):
            raise BenchFailed(f"citizen {one['n']} was told {said}, and has entry {index}")
        reasons.update(said)
        for status, body in one["answers"]:
            if status != 200:
                refused = json.loads(body)
                if not refused["ko"] or not refused["en"]:
                    raise BenchFailed(f"citizen {one['n']} was not told in words: {refused}")
                continue
            try:
                receipt = check_filed(body.encode(), submission, key.name, [key])
            except RemoteError as error:
                raise BenchFailed(f"citizen {one['n']} has a receipt that proves nothing: {error}") from None
            if receipt.index != index:
                raise BenchFailed(f"citizen {one['n']} was told of entry {receipt.index}, not of {index}")
    if set(seats.values()) != {key.hex() for key in filed}:
        raise BenchFailed("a booking has no seat, or a seat no booking")
    if len(seats) != min(wanted.places, wanted.citizens):
        raise BenchFailed(f"{len(seats)} places were given, and there are {wanted.places}")
    if set(reasons) > {TAKEN}:
        raise BenchFailed(f"somebody was told {dict(reasons)}")
    return {
        "bookings": len(seats),
        "told_why_not": dict(reasons),
        "asked_again_and_told_the_same": asked_again,
        "entries": len(leaves),
    }


def _seats(leaves: list[Leaf]) -> dict[tuple[str, str, str], str]:
    """Whose each seat is, by the events in the log; the key of the booking."""
    seats: dict[tuple[str, str, str], str] = {}
    for leaf in leaves:
        if leaf.filing.type == SLOT_EVENT.name:
            said = {field.name: field.value for field in leaf.filing.public}
            seat = said["facility"], said["slot"], said["seat"]
            if seat in seats:
                raise BenchFailed(f"seat {seat} was given twice")
            seats[seat] = said["filing"]
    return seats
