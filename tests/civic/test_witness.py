"""The witness: every status code of the specification, and no schedule of requests and crashes makes it sign a fork."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.civic.witness import (
    AddCheckpoint,
    Answer,
    Remember,
    Seen,
    Witness,
    parse_add_checkpoint,
    read_cosignatures,
)
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import WITNESS_BODY_BYTES_MAX
from p2pworld.merkle.checkpoint import Checkpoint, open_checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.proof import consistency_spans, prove
from p2pworld.merkle.tree import leaf_hashes, root_of
from tests.merkle.signed import (
    ENTRIES,
    LEAVES,
    LOG,
    NEXT_LOG,
    ORIGIN,
    TIME_S,
    WITNESS_KEYS,
    WITNESSES,
    checkpoint,
    flipped,
    read,
)

WITNESS = Witness(WITNESSES[:2], {ORIGIN: [LOG.key]})
SIZE_TYPE = "text/x.tlog.size"
FORGED_LEAVES = leaf_hashes([b"forged", *ENTRIES[1:]])


def forged(size: int) -> Note:
    """A checkpoint that the log signed for another history."""
    text = Checkpoint(ORIGIN, size, root_of(FORGED_LEAVES[:size])).text
    return Note(text, (LOG.sign(text),))


def request(old: int, new: int, note: Note | None = None) -> bytes:
    proof = prove(consistency_spans(old, new), read) if old <= new else ()
    return AddCheckpoint(old, proof, note or checkpoint(new)).to_bytes()


def seen(size: int) -> Seen:
    return Seen(size, root_of(LEAVES[:size]), checkpoint(size).to_bytes())


def ask(body: bytes, stored: Seen | None, witness: Witness = WITNESS) -> Answer | Remember:
    return witness.add_checkpoint(body, lambda origin: stored if origin == ORIGIN else None, TIME_S)


def refused(body: bytes, stored: Seen | None) -> tuple[int, str]:
    answer = ask(body, stored)
    assert isinstance(answer, Answer)
    assert answer.body.endswith(b"\n")
    return answer.status, answer.reason


def test_the_body_of_a_request() -> None:
    lines = request(7, 21).decode().split("\n")
    assert lines[0] == "old 7"
    assert all(len(line) == 44 for line in lines[1 : lines.index("")])
    assert lines[lines.index("") + 1 :][:2] == [ORIGIN, "21"]
    assert request(0, 5).startswith(f"old 0\n\n{ORIGIN}\n5\n".encode())
    for old, new in ((0, 0), (0, 5), (5, 5), (7, 21)):
        assert parse_add_checkpoint(request(old, new)).to_bytes() == request(old, new)


@pytest.mark.parametrize(
    ("old", "new"), [(0, 0), (0, 1), (0, 37), (1, 2), (7, 21), (16, 37), (36, 37), (37, 37)]
)
def test_what_continues_is_signed_by_each_of_its_keys(old: int, new: int) -> None:
    for before in (None, seen(0)) if old == 0 else (seen(old),):
        decided = ask(request(old, new), before)
        assert isinstance(decided, Remember)
        assert (decided.origin, decided.before, decided.seen) == (ORIGIN, before, seen(new))
        assert (decided.answer.status, decided.answer.content_type) == (200, "text/plain; charset=utf-8")
        note = checkpoint(new)
        found = read_cosignatures(decided.answer.body, note, WITNESS_KEYS)
        assert [(one.key, one.time_s) for one in found] == [(key, TIME_S) for key in WITNESS_KEYS[:2]]
        whole = note.signed(one.signature for one in found)
        open_checkpoint(whole, ORIGIN, [LOG.key], WITNESS_KEYS).require_quorum(2)


def test_400_for_what_cannot_be_read() -> None:
    good = request(7, 21)
    for bad, reason in (
        (b"", "witness-form"),
        (good.replace(b"old 7", b"old  7"), "witness-form"),
        (good.replace(b"old 7", b"old 07"), "witness-form"),
        (good.replace(b"old 7", b"old -7"), "witness-form"),
        (good.replace(b"old 7\n", b""), "witness-form"),
        (good.replace(b"old 7", b"old 9007199254740992"), "witness-form"),
        (good.replace(b"old 7\n", b"old 7\nAAAA\n"), "proof-hash"),
        (good.replace(b"old 7\n", b"old 7\n" + (b"A" * 43 + b"=\n") * 64), "proof-length"),
        (good.replace(f"\n{ORIGIN}\n21".encode(), f"{ORIGIN}\n21".encode()), "proof-hash"),
        (good[:-1], "note-form"),
        (good.replace(b"\n21\n", b"\n021\n"), "checkpoint-size"),
        (bytes(WITNESS_BODY_BYTES_MAX + 1), "witness-size"),
        (b"\xff" + good, "witness-form"),
    ):
        assert refused(bad, seen(7)) == (400, reason)


def test_400_for_an_old_size_beyond_the_new() -> None:
    assert refused(request(22, 21), seen(22)) == (400, "witness-old")


def test_404_for_a_log_that_it_does_not_know() -> None:
    assert refused(request(0, 5, checkpoint(5, origin="seoul.example/mapo")), None) == (404, "witness-origin")


def test_403_for_what_the_log_did_not_sign() -> None:
    assert refused(request(0, 5, checkpoint(5, NEXT_LOG)), None) == (403, "note-unsigned")
    text = checkpoint(5).text
    others = Note(text, checkpoint(6).signatures)
    assert refused(request(0, 5, others), None) == (403, "note-signature")
    cosigned_only = Note(text, (WITNESSES[0].sign(text, 1),))
    assert refused(request(0, 5, cosigned_only), None) == (403, "note-unsigned")


@pytest.mark.parametrize(
    ("old", "new", "stored"), [(0, 5, 7), (5, 7, 7), (7, 7, 9), (9, 21, 7), (0, 7, 7), (3, 9, 0)]
)
def test_409_says_the_size_that_it_knows(old: int, new: int, stored: int) -> None:
    answer = ask(request(old, new), seen(stored) if stored else None)
    assert answer == Answer(409, f"{stored}\n".encode(), SIZE_TYPE, "witness-stale")


@pytest.mark.parametrize("old", [0, 5, 7])
def test_409_and_both_notes_for_a_fork(old: int) -> None:
    answer = ask(request(old, 7, forged(7)), seen(7))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.content_type) == (409, b"7\n", SIZE_TYPE)
    assert answer.fork is not None
    first, second = (
        open_checkpoint(note, ORIGIN, [LOG.key]).checkpoint
        for note in (answer.fork.first, answer.fork.second)
    )
    assert first.size == second.size == 7
    assert first.root != second.root


def test_422_for_a_proof_that_does_not_hold() -> None:
    assert refused(request(7, 21, forged(21)), seen(7)) == (422, "proof-root")
    assert refused(AddCheckpoint(7, (), checkpoint(21)).to_bytes(), seen(7)) == (422, "proof-length")
    assert refused(AddCheckpoint(0, (bytes(32),), checkpoint(21)).to_bytes(), None) == (422, "proof-length")
    assert refused(AddCheckpoint(7, (bytes(32),), checkpoint(7)).to_bytes(), seen(7)) == (422, "proof-length")
    text = Checkpoint(ORIGIN, 0, bytes(32)).text
    assert refused(AddCheckpoint(0, (), Note(text, (LOG.sign(text),))).to_bytes(), None) == (
        422,
        "proof-root",
    )


def test_a_changed_byte_is_never_signed() -> None:
    for spoiled in flipped(request(7, 21)):
        assert isinstance(ask(spoiled, seen(7)), Answer)


def test_what_a_log_reads_of_an_answer() -> None:
    note = checkpoint(5)
    body = "".join(witness.sign(note.text, TIME_S).line for witness in WITNESSES).encode()
    assert [one.key for one in read_cosignatures(body, note, WITNESS_KEYS[1:2])] == [WITNESS_KEYS[1]]
    for bad, expected in (
        (b"", "note-form"),
        (b"7\n", "note-line"),
        (WITNESSES[0].sign(checkpoint(6).text, TIME_S).line.encode(), "note-signature"),
        (LOG.sign(note.text).line.encode(), "note-unsigned"),
    ):
        with pytest.raises(RemoteError) as raised:
            read_cosignatures(bad, note, WITNESS_KEYS)
        assert raised.value.reason == expected


def test_a_witness_signs_as_witness_only() -> None:
    for signers in ((), (LOG,), (WITNESSES[0], LOG)):
        with pytest.raises(LocalError):
            Witness(signers, {})


# ---- no schedule makes it sign a fork


@st.composite
def schedules(draw: st.DrawFn) -> list[tuple[str, int, int, bool]]:
    """Requests (true or of the forged history) to decide, and decisions, by number, to carry out in any order."""
    sizes = st.integers(0, 12)
    steps = st.tuples(st.sampled_from(["ask", "ask", "carry out", "crash"]), sizes, sizes, st.booleans())
    return draw(st.lists(steps, max_size=30))


def run(schedule: list[tuple[str, int, int, bool]], *, compare: bool) -> list[tuple[int, bytes]]:
    """The sizes and roots that left the witness signed, in their order; without `compare` it stores whatever comes."""
    stored: Seen | None = None
    waiting: list[Remember] = []
    signed: list[tuple[int, bytes]] = []
    for step, old, new, false in schedule:
        if step == "ask":
            leaves = FORGED_LEAVES if false else LEAVES
            proof = prove(
                consistency_spans(min(old, new), new),
                lambda tree, leaves=leaves: root_of(  # type: ignore[misc]
                    leaves[tree.number << tree.level : (tree.number + 1) << tree.level]
                ),
            )
            note = forged(new) if false else checkpoint(new)
            decided = ask(AddCheckpoint(old, proof, note).to_bytes(), stored)
            if isinstance(decided, Remember):
                waiting.append(decided)
        elif step == "crash":
            waiting.clear()
        elif waiting:
            decided = waiting.pop(old % len(waiting))
            if decided.before == stored or not compare:
                stored = decided.seen
                signed.append((decided.seen.size, decided.seen.root))
    return signed


def is_one_history(signed: list[tuple[int, bytes]]) -> bool:
    grows = all(earlier[0] <= later[0] for earlier, later in pairwise(signed))
    return grows and any(
        all(root == root_of(leaves[:size]) for size, root in signed) for leaves in (LEAVES, FORGED_LEAVES)
    )


@given(schedules())
def test_signatures_are_of_one_growing_history(schedule: list[tuple[str, int, int, bool]]) -> None:
    assert is_one_history(run(schedule, compare=True))


def test_the_schedule_that_needs_the_comparison() -> None:
    race = [("ask", 0, 3, False), ("ask", 0, 5, True), ("carry out", 1, 0, False), ("carry out", 0, 0, False)]
    assert is_one_history(run(race, compare=True))
    assert not is_one_history(run(race, compare=False))
