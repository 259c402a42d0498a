"""The witness as a process: the protocol over HTTP, kill -9 around the commit, a full disk, a memory that is lost."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing
from click.testing import CliRunner

from p2pworld.civic.fork import parse_fork
from p2pworld.civic.witness import (
    AddCheckpoint,
    Answer,
    Seen,
    Witness,
    checkpoint_path,
    read_cosignatures,
)
from p2pworld.limits import (
    WITNESS_BODY_BYTES_MAX,
    WITNESS_BODY_S,
    WITNESS_FORKS_MAX,
    WITNESS_LOGS_MAX,
    WITNESS_TRIES_MAX,
    WITNESS_WAITING_MAX,
)
from p2pworld.merkle.checkpoint import Checkpoint, open_checkpoint
from p2pworld.merkle.note import COSIGNATURE, Note, NoteSignature, VerifierKey
from p2pworld.merkle.proof import consistency_spans, prove
from p2pworld.merkle.tree import root_of
from shard_node.cli import main
from shard_node.witness.app import WitnessDesk, witness_app
from shard_node.witness.memory import MemoryFailed, WitnessMemory
from simulations.processes import die_with_parent, python_environment
from tests.merkle.signed import LEAVES, LOG, ORIGIN, TIME_S, WITNESSES, checkpoint, read

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path
    from types import TracebackType

    from starlette.applications import Starlette

NAME = "witness.example/paper"


def request(old: int, new: int, note: Note | None = None) -> bytes:
    proof = prove(consistency_spans(old, new), read) if old <= new else ()
    return AddCheckpoint(old, proof, note or checkpoint(new)).to_bytes()


def forged(size: int, last: int = 0) -> Note:
    text = Checkpoint(ORIGIN, size, last.to_bytes(32, "big")).text
    return Note(text, (LOG.sign(text),))


def seen(size: int) -> Seen:
    return Seen(size, root_of(LEAVES[:size]), checkpoint(size).to_bytes())


# ---- what it remembers


def test_remembering_compares_and_lasts(tmp_path: Path) -> None:
    WitnessMemory.begin(tmp_path)
    memory = WitnessMemory(tmp_path)
    assert memory.latest(ORIGIN) is None
    assert memory.remember(ORIGIN, None, seen(5), b"lines")
    assert not memory.remember(ORIGIN, None, seen(6), b"lines")
    assert not memory.remember(ORIGIN, seen(4), seen(6), b"lines")
    memory.close()
    other = WitnessMemory(tmp_path)
    assert other.remember(ORIGIN, seen(5), seen(7), b"more lines")
    assert memory.latest(ORIGIN) == seen(7)
    assert memory.cosignatures(ORIGIN) == (seen(7), b"more lines")
    assert memory.origins() == [ORIGIN]


def test_what_is_remembered_is_flushed_at_each_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WitnessMemory.begin(tmp_path)
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def noted(*values: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*values, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    memory = WitnessMemory(tmp_path)
    assert memory.remember(ORIGIN, None, seen(5), b"lines")
    [connection] = opened
    modes = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert modes == ["wal", 2]  # 2: FULL


def test_every_row_that_a_disk_garbles_is_refused(tmp_path: Path) -> None:
    WitnessMemory.begin(tmp_path)
    memory = WitnessMemory(tmp_path)
    memory.remember(ORIGIN, None, seen(5), b"lines")
    for column, value in (("size", 6), ("root", bytes(32)), ("note", b""), ("lines", b""), ("checksum", b"")):
        with sqlite3.connect(tmp_path / "witness.sqlite") as database:
            [(kept,)] = database.execute(f"SELECT {column} FROM log")
            database.execute(f"UPDATE log SET {column} = ?", (value,))
        with pytest.raises(MemoryFailed, match="damaged"):
            memory.latest(ORIGIN)
        with pytest.raises(MemoryFailed, match="damaged"):
            memory.remember(ORIGIN, seen(5), seen(7), b"")
        with pytest.raises(MemoryFailed, match="damaged"):
            WitnessMemory(tmp_path)
        with sqlite3.connect(tmp_path / "witness.sqlite") as database:
            database.execute(f"UPDATE log SET {column} = ?", (kept,))
    assert memory.remember(ORIGIN, seen(5), seen(7), b"")


def test_a_memory_is_never_made_by_itself_nor_twice(tmp_path: Path) -> None:
    with pytest.raises(MemoryFailed, match="is not there"):
        WitnessMemory(tmp_path)
    WitnessMemory.begin(tmp_path)
    with pytest.raises(MemoryFailed, match="there already"):
        WitnessMemory.begin(tmp_path)
    (tmp_path / "witness.sqlite").write_bytes(b"something else" * 400)
    with pytest.raises(MemoryFailed, match="cannot be used"):
        WitnessMemory(tmp_path)
    (tmp_path / "witness.sqlite").unlink()
    sqlite3.connect(tmp_path / "witness.sqlite").execute("CREATE TABLE log (origin)").connection.close()
    with pytest.raises(MemoryFailed, match="no memory of a witness"):
        WitnessMemory(tmp_path)


def test_a_full_disk_signs_nothing_and_later_goes_on(tmp_path: Path) -> None:
    WitnessMemory.begin(tmp_path)
    witness = Witness(WITNESSES[:1], {ORIGIN: [LOG.key]})
    tight = WitnessDesk(witness, WitnessMemory(tmp_path, pages_max=1), tmp_path, lambda: TIME_S)
    # under another maker's long signature the row needs a page that is not there
    long = checkpoint(5).signed([NoteSignature("other.example", bytes(4), bytes(9_000))])
    for _ in range(2):
        answer = tight.add_checkpoint(request(0, 5, long))
        assert (answer.status, answer.reason) == (503, "witness-memory")
        assert WITNESSES[0].key.name.encode() not in answer.body
    roomy = WitnessDesk(witness, WitnessMemory(tmp_path), tmp_path, lambda: TIME_S)
    assert roomy.add_checkpoint(request(0, 5, long)).status == 200
    assert tight.answers == {(503, "witness-memory"): 2}


def test_proofs_of_forks_are_kept_so_many_of_a_log(tmp_path: Path) -> None:
    WitnessMemory.begin(tmp_path)
    desk = WitnessDesk(
        Witness(WITNESSES[:1], {ORIGIN: [LOG.key]}), WitnessMemory(tmp_path), tmp_path, lambda: TIME_S
    )
    assert desk.add_checkpoint(request(0, 5)).status == 200
    for number in range(WITNESS_FORKS_MAX + 3):
        for _ in range(2):
            assert desk.add_checkpoint(request(5, 5, forged(5, number + 1))).status == 409
    files = list((tmp_path / "forks").iterdir())
    assert len(files) == WITNESS_FORKS_MAX
    assert all(parse_fork(path.read_bytes()).first == checkpoint(5).to_bytes() for path in files)


def test_a_race_that_is_always_lost_is_answered_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WitnessMemory.begin(tmp_path)
    memory = WitnessMemory(tmp_path)
    tries: list[object] = []
    monkeypatch.setattr(memory, "remember", lambda *values: tries.append(values))
    desk = WitnessDesk(Witness(WITNESSES[:1], {ORIGIN: [LOG.key]}), memory, tmp_path)
    answer = desk.add_checkpoint(request(0, 5))
    assert (answer.status, answer.reason, len(tries)) == (503, "witness-race", WITNESS_TRIES_MAX)


# ---- its HTTP face


class Slow:
    """Stands in for a desk that is busy until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def add_checkpoint(self, body: bytes) -> Answer:
        self.go.wait(60)
        return Answer(200)


async def post(app: Starlette, body: bytes | None, statuses: list[int]) -> None:
    """One request straight to the application; without a body none ever comes."""

    async def receive() -> dict[str, object]:
        if body is None:
            await trio.sleep_forever()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": "POST", "path": "/add-checkpoint", "headers": [], "query_string": b""}
    await app(scope, receive, send)


async def test_a_body_that_does_not_come_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    statuses: list[int] = []
    await post(witness_app(cast("WitnessDesk", Slow())), None, statuses)
    assert statuses == [408]
    assert trio.current_time() == pytest.approx(WITNESS_BODY_S)


async def test_so_many_wait_and_the_next_is_told_so() -> None:
    desk, statuses = Slow(), list[int]()
    app = witness_app(cast("WitnessDesk", desk))
    async with trio.open_nursery() as nursery:
        for _ in range(WITNESS_WAITING_MAX + 1):
            nursery.start_soon(post, app, b"", statuses)
        await trio.testing.wait_all_tasks_blocked()
        assert statuses == []
        await post(app, b"", statuses)
        assert statuses == [503]
        desk.go.set()
    assert statuses[1:] == [200] * (WITNESS_WAITING_MAX + 1)


# ---- the process


class Running:
    """A witness process of its own folder; `program` stands in for the command line."""

    def __init__(self, folder: Path, program: str = "") -> None:
        words = ["-c", program] if program else ["-m", "shard_node.cli"]
        self._process = subprocess.Popen(
            [sys.executable, *words, "witness", "run", "--config", str(folder / "witness.toml")],
            stdout=subprocess.PIPE,
            env=python_environment(),
            preexec_fn=die_with_parent,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()
        assert self.url.startswith("http://127.0.0.1:")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=60)
        assert error or self._process.returncode in (0, -signal.SIGKILL)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        finally:
            connection.close()

    def add(self, body: bytes) -> tuple[int, str, bytes]:
        return self.ask("POST", "/add-checkpoint", body)

    def ended_by(self) -> int:
        return self._process.wait(60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Key, configuration and empty memory, made by the commands."""
    key = call("key", tmp_path / "witness.key", "--name", NAME)
    assert VerifierKey.parse(key).name == NAME
    (tmp_path / "witness.toml").write_text(
        f'[witness]\nlisten = "127.0.0.1:0"\ndata_dir = "kept"\nkey_file = "witness.key"\n'
        f'logs = ["{LOG.key.text}"]\n'
    )
    call("begin", "--config", tmp_path / "witness.toml")
    return tmp_path


def call(*words: object) -> str:
    result = CliRunner().invoke(main, ["witness", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_the_protocol_over_http(folder: Path) -> None:
    key = VerifierKey.parse(call("key", folder / "witness.key"))
    shown = checkpoint_path(ORIGIN)
    with Running(folder) as running:
        assert running.ask("GET", shown)[0] == 404
        status, kind, body = running.add(request(0, 5))
        assert (status, kind) == (200, "text/plain; charset=utf-8")
        assert [one.key for one in read_cosignatures(body, checkpoint(5), [key])] == [key]
        status, kind, body = running.add(request(0, 7))
        assert (status, kind, body) == (409, "text/x.tlog.size", b"5\n")
        assert running.add(request(5, 21))[0] == 200
        assert running.add(AddCheckpoint(21, (), checkpoint(37)).to_bytes())[0] == 422
        assert running.add(request(22, 21))[0] == 400
        assert running.add(b"\xff\x00")[0] == 400
        assert running.add(bytes(WITNESS_BODY_BYTES_MAX + 1))[0] == 400
        assert running.add(request(0, 5, checkpoint(5, origin="seoul.example/mapo")))[0] == 404
        assert running.add(request(21, 37, checkpoint(37, WITNESSES[0])))[0] == 403
        assert running.add(request(21, 21, forged(21)))[0] == 409
        assert running.ask("GET", "/add-checkpoint")[0] == 405
        status, _, note = running.ask("GET", shown)
        assert open_checkpoint(note, ORIGIN, [LOG.key], [key]).cosigned
        assert Checkpoint.parse(note.decode().partition("\n\n")[0] + "\n").size == 21
        assert b'status="409",reason="witness-fork"} 1\n' in running.ask("GET", "/metrics")[2]
    [proof] = (folder / "kept/forks").iterdir()
    result = CliRunner().invoke(main, ["verify", str(proof), "--key", LOG.key.text])
    assert result.exit_code == 1
    assert "log-fork" in result.stdout


KILLED = """
    import os, signal
    from shard_node.cli import main
    from shard_node.witness.memory import WitnessMemory

    remember = WitnessMemory.remember

    def dies(self, *values):
        {first}
        os.kill(os.getpid(), signal.SIGKILL)

    WitnessMemory.remember = dies
    main(prog_name="p2pworld")
"""


@pytest.mark.parametrize("stored", [True, False])
def test_killed_around_the_commit_it_never_signs_a_fork(folder: Path, stored: bool) -> None:
    program = textwrap.dedent(KILLED).format(first="remember(self, *values)" if stored else "pass")
    with Running(folder, program) as running:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            running.add(request(0, 5))
        assert running.ended_by() == -signal.SIGKILL
    with Running(folder) as running:
        status, _, body = running.add(request(0, 5))
        if stored:  # its signature was never seen, and binds it all the same
            assert (status, body) == (409, b"5\n")
            assert running.add(request(5, 5, forged(5)))[0] == 409
            assert len(list((folder / "kept/forks").iterdir())) == 1
            assert running.add(request(5, 5))[0] == 200
        else:
            assert status == 200
        assert running.add(request(5, 37))[0] == 200


def test_go_checks_what_the_process_signed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.interop.go_sumdb import GoSumdb, go_program

    key = VerifierKey.parse(call("key", folder / "witness.key"))
    with GoSumdb(go_program(tmp_path_factory.mktemp("go"))) as go, Running(folder) as running:
        status, _, lines = running.add(request(0, 21))
        assert status == 200
        opened = go.ask("open", Data=checkpoint(21).to_bytes() + lines, Keys=[key.text])
        assert opened.error == ""
        assert (opened["text"], opened["signers"]) == (checkpoint(21).text, [NAME])
        assert go.ask("open", Data=checkpoint(20).to_bytes() + lines, Keys=[key.text]).error


# ---- its commands


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('listen = "127.0.0.1:0"', 'listen = "nowhere"', "witness.listen"),
        ("logs = [", "logs = [" + '"x", ' * WITNESS_LOGS_MAX, "more than 1024"),
        ("logs = [", "loggs = [", "witness.logs is missing"),
        ('data_dir = "kept"', 'data_dir = "kept"\nmore = 1', "witness.more is not a known key"),
        ("[witness]", "[other]\n[witness]", "[other] is not a known table"),
        ("[witness]", "[witness", "is not valid TOML"),
        (LOG.key.text, LOG.key.text[:-3], "witness.logs holds"),
        (LOG.key.text, WITNESSES[0].key.text, "the key of a witness"),
        ('key_file = "witness.key"', 'key_file = "gone"', "is no file"),
        ('key_file = "witness.key"', 'key_file = "witness.toml"', "holds no witness's key"),
        ('data_dir = "kept"', 'data_dir = "lost"', "is not there"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_2(folder: Path, old: str, new: str, said: str) -> None:
    path = folder / "witness.toml"
    path.write_text(path.read_text().replace(old, new))
    result = CliRunner().invoke(main, ["witness", "run", "--config", str(path)])
    assert (result.exit_code, said in result.output) == (2, True), result.output
    assert result.output.count("\n") == 1


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = call("key", path, "--name", NAME)
    assert VerifierKey.parse(made).algorithm == COSIGNATURE
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert call("key", path) == made
    for words in (["--name", NAME], ["--name", "two words"]):
        result = CliRunner().invoke(main, ["witness", "key", str(path), *words])
        assert result.exit_code == 2
    assert hashlib.sha256(ORIGIN.encode()).hexdigest() in checkpoint_path(ORIGIN)
