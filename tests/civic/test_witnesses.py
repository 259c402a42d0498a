"""Witnesses asked over HTTP: real ones, ones that are down, slow, lying, behind or ahead, and what a fork comes to."""

from __future__ import annotations

import shutil
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from click.testing import CliRunner

from p2pworld.civic.log import Stage
from p2pworld.errors import Refusal
from p2pworld.limits import ASK_WITNESS_GRACE_S, ASK_WITNESS_S, NOTE_BYTES_MAX, WITNESS_FORKS_MAX
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.tree import leaf_hashes, root_of
from shard_node.civic.folder import PublishedLog
from shard_node.civic.holder import CivicHolder, CivicMeter, LogConfig
from shard_node.civic.witnesses import HttpWitnesses, keep_note
from shard_node.cli import main
from simulations.bench.crowd.certificate import write_certificate
from tests.civic.desks import desk, speaking
from tests.civic.kept import file_all, places
from tests.civic.log_world import MINUTE, STREAM, TYPES, submission
from tests.client.logs_on_disk import write_log
from tests.merkle.signed import ENTRIES, LOG, NEXT_LOG, ORIGIN, TIME_S, WITNESSES, cosigned
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from p2pworld.merkle.note import VerifierKey
    from tests.civic.desks import Said, Talk

FORGED = [b"forged", *ENTRIES[1:]]


class Heard(CivicMeter):
    """What each witness did, in order, and the alarms."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []
        self.alarms: list[str] = []
        self.size = -1  # that was witnessed
        self._told = trio.Event()

    def witness(self, name: str, outcome: str) -> None:
        self.outcomes.append((name.rpartition("/")[2], outcome))
        self._told.set()

    def witnessed(self, size: int) -> None:
        self.size = size
        self._told.set()

    def alarm(self, refusal: Refusal) -> None:
        self.alarms.append(refusal.reason)
        self._told.set()

    async def until(self, so: Callable[[], bool]) -> None:
        """Returns when it is so, after something was told."""
        while not so():
            self._told = trio.Event()
            await self._told.wait()


def log_at(folder: Path, size: int, entries: list[bytes] = ENTRIES) -> Note:
    """The log's folder at this size, and its checkpoint, signed by the log alone."""
    folder.mkdir(exist_ok=True)
    note = write_log(folder, entries[:size], [size])
    return Note(note.text, note.signatures[:1])


def asking(
    folder: Path, where: list[tuple[str, VerifierKey]], quorum: int, heard: Heard | None = None
) -> HttpWitnesses:
    return HttpWitnesses([LOG.key], PublishedLog(folder / "log"), where, quorum, folder / "proofs", heard)


@asynccontextmanager
async def witnesses(*talks: Talk) -> AsyncIterator[list[tuple[str, VerifierKey]]]:
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(speaking(talk)) for talk in talks]
        yield [(url, signer.key) for url, signer in zip(urls, WITNESSES, strict=False)]


def canned(status: int, body: bytes, kind: str = "text/plain") -> Talk:
    async def talk(method: str, path: str, asked: bytes) -> Said:
        return status, kind, body

    return talk


async def silent(method: str, path: str, asked: bytes) -> Said:
    await trio.sleep_forever()
    raise AssertionError


async def test_real_witnesses_sign_each_checkpoint_as_the_log_grows(tmp_path: Path) -> None:
    heard = Heard()
    async with witnesses(*(desk(tmp_path / str(n), WITNESSES[n]) for n in range(3))) as where:
        asked = asking(tmp_path, where, 3, heard)
        for size in (0, 1, 5, 5, 37):
            note = log_at(tmp_path / "log", size)
            result = await asked.cosign(note)
            assert result.checkpoint == note
            assert {one.key for one in result.verified} == {key for _, key in where}
            assert result.seen == ()
        # whoever begins anew learns from the witness where it is
        assert len((await asking(tmp_path, where, 3).cosign(log_at(tmp_path / "log", 37))).verified) == 3
    assert heard.outcomes.count(("0", "signed")) == 5
    assert len(heard.outcomes) == 15


async def test_by_tls_whom_it_trusts_and_below_a_path(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    real = desk(tmp_path / "0")

    async def below(method: str, path: str, body: bytes) -> Said:
        return await real(method, path.removeprefix("/of/seoul"), body)

    note = log_at(tmp_path / "log", 5)
    async with speaking(below, server) as url:
        where = [(f"{url}/of/seoul/", WITNESSES[0].key)]
        trusting = ssl.create_default_context(cafile=str(certificate))
        folder = PublishedLog(tmp_path / "log")
        asked = HttpWitnesses([LOG.key], folder, where, 1, tmp_path / "proofs", tls=trusting)
        assert len((await asked.cosign(note)).verified) == 1
        heard = Heard()
        assert (await asking(tmp_path, where, 1, heard).cosign(note)).verified == ()
        assert heard.outcomes == [("0", "down")]


async def test_a_quorum_is_enough_and_the_slow_one_has_a_short_grace(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """Sockets are no sleep to the clock, so it jumps by hand, once everybody is at rest."""
    heard = Heard()
    note = log_at(tmp_path / "log", 5)
    async with witnesses(desk(tmp_path / "0"), silent, silent) as where:
        for quorum, passed_s in ((1, ASK_WITNESS_GRACE_S), (2, ASK_WITNESS_S)):
            asked = asking(tmp_path, where, quorum, heard)
            got: list[int] = []

            async def ask(asked: HttpWitnesses = asked, got: list[int] = got) -> None:
                got.append(len((await asked.cosign(note)).verified))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                while ("0", "signed") not in heard.outcomes:
                    await trio.testing.wait_all_tasks_blocked()
                await trio.testing.wait_all_tasks_blocked()
                assert got == []
                mock_clock.jump(passed_s)
            assert got == [1]
            assert sorted(heard.outcomes) == [("0", "signed"), ("1", "slow"), ("2", "slow")]
            heard.outcomes.clear()


@pytest.mark.parametrize(
    ("talk", "outcome"),
    [
        (canned(200, cosigned(Note("other\n", ()), 1).to_bytes().rpartition(b"\n\n")[2]), "note-signature"),
        (canned(200, b"nothing\n"), "note-line"),
        (canned(200, bytes(NOTE_BYTES_MAX + 1)), "answer-size"),
        (canned(400, b"what?\n"), "refused"),
        (canned(403, b"who?\n"), "unknown-key"),
        (canned(404, b"what log?\n"), "unknown-log"),
        (canned(503, b"later\n"), "busy"),
        (canned(302, b""), "strange"),
        (canned(409, b"many\n", "text/x.tlog.size"), "strange"),
        (canned(409, b"3\n", "text/x.tlog.size"), "contradicts"),  # it says so, and shows nothing
        (canned(409, b"0\n", "text/x.tlog.size"), "contradicts"),
        (canned(422, b"no\n"), "contradicts"),
    ],
)
async def test_a_witness_that_lies_or_fails_costs_its_own_signature(
    tmp_path: Path, talk: Talk, outcome: str
) -> None:
    heard = Heard()
    note = log_at(tmp_path / "log", 5)
    async with witnesses(talk, desk(tmp_path / "1", WITNESSES[1])) as where:
        result = await asking(tmp_path, where, 2, heard).cosign(note)
    assert [one.key for one in result.verified] == [WITNESSES[1].key]
    assert result.seen == ()
    assert sorted(heard.outcomes) == [("0", outcome), ("1", "signed")]
    assert not (tmp_path / "proofs").exists()


async def test_a_witness_with_another_key_than_the_one_known_is_not_counted(tmp_path: Path) -> None:
    heard = Heard()
    note = log_at(tmp_path / "log", 5)
    async with witnesses(desk(tmp_path / "0", WITNESSES[2])) as where:
        assert (await asking(tmp_path, where, 1, heard).cosign(note)).verified == ()
    assert heard.outcomes == [("0", "note-unsigned")]


async def test_a_witness_that_is_away_is_asked_again_from_where_it_was(tmp_path: Path) -> None:
    heard = Heard()
    async with witnesses(desk(tmp_path / "0")) as where:
        asked = asking(tmp_path, where, 1, heard)
        await asked.cosign(log_at(tmp_path / "log", 5))
    [(gone, key)] = where
    again = asking(tmp_path, [(gone, key)], 1, heard)
    assert (await again.cosign(log_at(tmp_path / "log", 11))).verified == ()
    shutil.rmtree(tmp_path / "log")
    async with witnesses(desk(tmp_path / "0")) as where:
        assert (
            len((await asking(tmp_path, where, 1, heard).cosign(log_at(tmp_path / "log", 37))).verified) == 1
        )
    assert [outcome for _, outcome in heard.outcomes] == ["signed", "down", "signed"]


async def test_tiles_that_are_not_there_are_no_reason_to_fall(tmp_path: Path) -> None:
    heard = Heard()
    async with witnesses(desk(tmp_path / "0")) as where:
        asked = asking(tmp_path, where, 1, heard)
        await asked.cosign(log_at(tmp_path / "log", 5))
        note = log_at(tmp_path / "log", 37)
        shutil.rmtree(tmp_path / "log" / "tile")
        assert (await asked.cosign(note)).verified == ()
    assert heard.outcomes == [("0", "signed"), ("0", "tile-missing")]


# ---- what the log itself has signed, and does not fit


def verdict(path: Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["verify", str(path), "--key", LOG.key.text])
    return result.exit_code, result.output


@pytest.mark.parametrize(("seen", "size"), [(5, 5), (5, 11), (8, 37), (3, 16)])
async def test_a_fork_comes_out_as_a_proof(tmp_path: Path, seen: int, size: int) -> None:
    """Two holders with one key and two histories, and a witness that knows the other one."""
    heard = Heard()
    async with witnesses(desk(tmp_path / "0"), desk(tmp_path / "1", WITNESSES[1])) as where:
        first = asking(tmp_path, where[:1], 1)
        await first.cosign(log_at(tmp_path / "log", seen, FORGED))
        shutil.rmtree(tmp_path / "log")
        note = log_at(tmp_path / "log", size)
        result = await asking(tmp_path, where, 1, heard).cosign(note)  # and a quorum has signed
    assert result.seen == (Checkpoint(ORIGIN, seen, root_of_forged(seen)),)
    assert sorted(heard.outcomes) == [("0", "fork"), ("1", "signed")]
    [proof] = (tmp_path / "proofs").iterdir()
    code, said = verdict(proof)
    assert (code, "log-fork" in said) == (1, True), said


def root_of_forged(size: int) -> bytes:
    return root_of(leaf_hashes(FORGED[:size]))


async def test_a_witness_that_is_ahead_shows_what_it_has_signed(tmp_path: Path) -> None:
    heard = Heard()
    async with witnesses(desk(tmp_path / "0")) as where:
        asked = asking(tmp_path, where, 1, heard)
        further = log_at(tmp_path / "log", 11)
        await asked.cosign(further)
        shutil.rmtree(tmp_path / "log")
        note = log_at(tmp_path / "log", 5)
        for asker in (asked, asking(tmp_path, where, 1, heard)):  # who remembers, and who is told
            result = await asker.cosign(note)
            assert (result.verified, result.seen) == ((), (Checkpoint.parse(further.text),))
    assert [outcome for _, outcome in heard.outcomes] == ["signed", "ahead", "ahead"]
    [kept] = (tmp_path / "proofs").iterdir()
    assert verdict(kept)[0] == 0
    assert verdict(kept)[1].count("11 entries") == 1


async def test_what_the_log_did_not_sign_raises_no_alarm(tmp_path: Path) -> None:
    """A witness that invents a checkpoint, or shows another log's."""
    text = Checkpoint(ORIGIN, 50, bytes(32)).text
    for note in (Note(text, (NEXT_LOG.sign(text),)), Note(text, (WITNESSES[0].sign(text, TIME_S),))):

        async def talk(method: str, path: str, asked: bytes, note: Note = note) -> Said:
            return (
                (409, "text/x.tlog.size", b"50\n")
                if method == "POST"
                else (200, "text/plain", note.to_bytes())
            )

        heard = Heard()
        async with witnesses(talk) as where:
            result = await asking(tmp_path, where, 1, heard).cosign(log_at(tmp_path / "log", 5))
        assert (result.verified, result.seen) == ((), ())
        assert heard.outcomes == [("0", "note-unsigned")]
    assert not (tmp_path / "proofs").exists()


def test_proofs_are_kept_so_many(tmp_path: Path) -> None:
    for number in range(WITNESS_FORKS_MAX + 2):
        keep_note(tmp_path / "proofs", "fork", b"%d" % number)
        keep_note(tmp_path / "proofs", "fork", b"0")
    assert len(list((tmp_path / "proofs").iterdir())) == WITNESS_FORKS_MAX


# ---- the holder and its witnesses


@asynccontextmanager
async def holding(
    folder: Path, epoch: int, where: list[tuple[str, VerifierKey]], heard: Heard
) -> AsyncIterator[tuple[CivicHolder, list[Stage]]]:
    """A holder at work, with these witnesses or none, and the stage that it ended in, if it did by itself."""
    at = places(folder)
    asked = HttpWitnesses([LOG.key], at.folder, where, 1, folder / "proofs", heard) if where else None
    holder = CivicHolder(LogConfig(STREAM, (LOG,), TYPES, quorum=1), epoch, at, lambda: MINUTE, heard, asked)
    ended: list[Stage] = []

    async def run() -> None:
        ended.append(await holder.run())

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield holder, ended
            nursery.cancel_scope.cancel()
    await at.store.close()


@pytest.mark.parametrize(("alone", "reason"), [(0, "log-behind"), (2, "log-behind"), (5, "log-fork")])
async def test_a_log_of_two_histories_stops_and_says_why(tmp_path: Path, alone: int, reason: str) -> None:
    """Two folders under one key: the second one's holder learns of the first from their witness."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with witnesses(desk(tmp_path / "0")) as where:
        heard = Heard()
        async with holding(tmp_path / "one", 1, where, heard) as (holder, ended):
            await file_all(holder, range(3))
            await heard.until(lambda: heard.size == 3)
        assert not ended
        assert not heard.alarms
        heard = Heard()
        async with holding(tmp_path / "two", 1, [], heard) as (holder, ended):
            await file_all(holder, range(10, 10 + alone))
        assert not ended
        assert not heard.alarms
        async with holding(tmp_path / "two", 2, where, heard) as (holder, ended):
            await heard.until(lambda: bool(heard.alarms))
            refused = await holder.file(submission(99))
        assert ended == [Stage.READ_ONLY]
    assert heard.alarms == [reason]
    assert isinstance(refused, Refusal)
    assert refused.reason == "civic-read-only"
    [kept] = (tmp_path / "two/proofs").iterdir()
    assert verdict(kept)[0] == (1 if reason == "log-fork" else 0)
