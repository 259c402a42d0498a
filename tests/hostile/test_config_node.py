"""Whatever a person can mend before a node runs is told in one sentence on standard error, with exit code 2."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import shutil
import socket
import sqlite3
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from p2pworld.crypto.keys import NodeKeys
from p2pworld.grants import grant_to_text, sign_grant
from shard_node.cli import main
from shard_node.coordination import SqliteCoordination
from shard_node.storage.sqlite import FORMAT, SqliteJournal
from simulations.processes import City
from tests.hostile.small_disk import mounted
from tests.nodes import PLACES, soon
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AT_ONCE = 3
ENDS_S = PATIENCE_S
POLL_S = 0.05
HOUR_MS = 3_600_000
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["shard_node.cli", "shard_node.serve"])


def swap(old: str, new: str) -> Callable[[Path], None]:
    """Changes the configuration."""

    def do(folder: Path) -> None:
        text = (folder / "node-1.toml").read_text("utf-8")
        assert old in text, (old, text)
        (folder / "node-1.toml").write_text(text.replace(old, new, 1), "utf-8")

    return do


def put(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Writes a file over what was there."""
    data = content.encode() if isinstance(content, str) else content

    def do(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return do


def grant(from_ms: int, until_ms: int) -> Callable[[Path], None]:
    """A grant of the right key by the right root, for another time."""

    def do(folder: Path) -> None:
        keys = NodeKeys.from_text((folder / "node-1.key").read_text())
        root = NodeKeys.from_text((folder / "root.key").read_text())
        now_ms = time.time_ns() // 1_000_000
        made = sign_grant(root, keys.public, "shard", ("cells:*",), now_ms + from_ms, now_ms + until_ms)
        (folder / "node-1.grant").write_text(grant_to_text(made))

    return do


def journal(statement: str) -> Callable[[Path], None]:
    """A journal in which something has been changed by hand."""

    def do(folder: Path) -> None:
        path = folder / "node-1" / "journal.sqlite"
        path.parent.mkdir()

        async def make() -> None:
            await (await SqliteJournal.open(path)).close()

        trio.run(make)
        with sqlite3.connect(path) as by_hand:
            by_hand.execute(statement)
        by_hand.close()

    return do


def damaged(folder: Path) -> None:
    journal("CREATE TABLE more (x)")(folder)
    with (folder / "node-1" / "journal.sqlite").open("r+b") as file:
        file.seek(4_096)
        file.write(os.urandom(8_192))


def foreign_store(folder: Path) -> None:
    with sqlite3.connect(folder / "city.sqlite") as other:
        other.execute("CREATE TABLE birds (name TEXT)")
    other.close()


def newer_store(folder: Path) -> None:
    async def make() -> None:
        store = SqliteCoordination(folder / "city.sqlite")
        await store.read(-1)
        await store.close()

    trio.run(make)
    with sqlite3.connect(folder / "city.sqlite") as by_hand:
        by_hand.execute("PRAGMA user_version = 99")
    by_hand.close()


def no_journal(folder: Path) -> None:
    (folder / "node-1").mkdir()
    (folder / "node-1" / "journal.sqlite").write_bytes(b"x" * 9_000)


NO_PAIR = '[tls]\nplay_cert = "node-1.grant"\nplay_key = "node-1.key"\n[listen]'
OTHER_KEY = NodeKeys.from_seed(bytes(32)).to_pem()

BAD: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "no TOML": (put("node-1.toml", "[node\nname ="), ("node-1.toml", "not valid TOML")),
    "an unknown key": (swap("data_dir", "datadir"), ("node.data",)),
    "a port beyond all": (swap('play = "127.0.0.1:', 'play = "127.0.0.1:9999'), ("listen.play", "65535")),
    "no root": (swap('roots = ["', 'roots = ["zz'), ("node.roots", "64 hex digits")),
    "no such host": (swap("[listen]\nplay = \"127.0.0.1", '[listen]\nplay = "host.invalid'), ("listen.play",)),
    "no key": (put("node-1.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), ("node.key_file",)),
    "a key that is no text": (put("node-1.key", os.urandom(64) + b"\xff"), ("node.key_file",)),
    "another node's key": (put("node-1.key", OTHER_KEY), ("node.grant_file", "somebody else")),
    "no grant": (put("node-1.grant", "a grant, honestly"), ("node.grant_file", "line 1")),
    "an expired grant": (grant(-2 * HOUR_MS, -HOUR_MS), ("node.grant_file", "has ended")),
    "a grant of tomorrow": (grant(HOUR_MS, 2 * HOUR_MS), ("node.grant_file", "not hold yet")),
    "another root": (swap('roots = ["', f'roots = ["{"ab" * 32}"] #'), ("node.grant_file", "root")),
    "a newer journal": (journal(f"UPDATE format SET version = {FORMAT + 1}"), ("journal", f"format {FORMAT + 1}")),
    "a damaged journal": (damaged, ("journal", "node.data_dir")),
    "a journal that is none": (no_journal, ("journal", "node.data_dir")),
    "a data_dir that is a file": (put("node-1", "a file"), ("node.data_dir",)),
    "another program's store": (foreign_store, ("coordination.path", "another program")),
    "a newer store": (newer_store, ("coordination.path",)),
    "no certificate": (swap("[listen]", NO_PAIR), ("tls.play_cert", "PEM")),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which one node would start, and the root's key."""
    city = City(tmp_path_factory.mktemp("good"), 1, PLACES[:1], 128)
    (city.folder / "root.key").write_text(city.root.to_pem())
    config = city.nodes[0].config
    config.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:0", config.read_text()))
    return city.folder


def start(arguments: list[str], said: Path) -> None:
    """What `python -m shard_node` does, in a process that was forked from one that has imported all of it."""
    with said.open("wb") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    main(args=["node", *arguments], prog_name="p2pworld")


async def run_node(folder: Path) -> tuple[int | None, str]:
    """Exit code and standard error of a node that ends by itself; one that runs is killed."""
    said = folder.parent / f"{folder.name}.said"
    arguments = ["--config", str(folder / "node-1.toml")]
    process = FORKS.Process(target=start, args=(arguments, said), daemon=True)
    process.start()
    try:
        with trio.move_on_after(PATIENCE_S):
            while process.is_alive():  # noqa: ASYNC110  (another process)
                await trio.sleep(POLL_S)
    finally:
        process.kill()
        process.join()
    return process.exitcode, said.read_text()


def faults(what: str, told: tuple[int | None, str], words: tuple[str, ...]) -> list[str]:
    """What is not as promised."""
    code, said = told
    sentence = said.startswith("p2pworld: ") and said.endswith("\n") and said.count("\n") == 1
    wrong = [f"exit code {code}"] * (code != 2) + ["not one sentence"] * (not sentence)
    return [
        f"{what}: {one}: {said}"
        for one in wrong + [f"{word!r} is not said" for word in words if word not in said]
    ]


@contextmanager
def taken(folder: Path) -> Iterator[list[tuple[str, Path, tuple[str, ...]]]]:
    """Cases for which something must be held meanwhile: ports, the lock, a file system that takes nothing."""
    cases: list[tuple[str, Path, tuple[str, ...]]] = []
    with ExitStack() as stack:
        for key in ("play", "link", "web"):
            with_port = folder / f"{key} in use"
            shutil.copytree(folder / "good", with_port)
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = str(listener.getsockname()[1])
            text = (with_port / "node-1.toml").read_text()
            lines = [
                f'{key} = "127.0.0.1:{port}"' if line.startswith(f"{key} = ") else line
                for line in text.splitlines()
            ]
            (with_port / "node-1.toml").write_text("\n".join(lines))
            cases.append((with_port.name, with_port, (f"listen.{key}", port, "in use")))
        locked = folder / "locked"
        shutil.copytree(folder / "good", locked)
        (locked / "node-1").mkdir()
        lock = stack.enter_context((locked / "node-1" / "lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        cases.append((locked.name, locked, ("node.data_dir", "Another process")))
        yield cases


async def test_what_a_person_can_mend_is_one_sentence_and_exit_code_2(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "good")
    limit = trio.CapacityLimiter(AT_ONCE)

    wrong: list[str] = []

    async def one(what: str, folder: Path, words: tuple[str, ...]) -> None:
        async with limit:
            wrong.extend(faults(what, await run_node(folder), words))

    with soon(ENDS_S, "all sentences"), taken(tmp_path) as held:
        async with trio.open_nursery() as nursery:
            for what, folder, words in held:
                nursery.start_soon(one, what, folder, words)
            for what, (spoil, words) in BAD.items():
                folder = tmp_path / what
                shutil.copytree(made, folder)
                await trio.to_thread.run_sync(spoil, folder)
                nursery.start_soon(one, what, folder, words)
            nursery.start_soon(one, "no file", tmp_path / "nowhere", ("nowhere", "cannot be read"))
    assert not wrong, "\n".join(wrong)


async def test_what_is_refused_is_left_as_it_was(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    shutil.copytree(made, folder)
    await trio.to_thread.run_sync(journal(f"UPDATE format SET version = {FORMAT + 1}"), folder)
    before = (folder / "node-1" / "journal.sqlite").read_bytes()
    assert not faults("a newer journal", await run_node(folder), ("node.data_dir",))
    assert (folder / "node-1" / "journal.sqlite").read_bytes() == before


async def test_a_data_dir_that_takes_nothing_is_told(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    shutil.copytree(made, folder)
    with mounted(folder / "node-1", "ro,size=64k") as data:
        assert not faults("read-only", await run_node(folder), ("node.data_dir", str(data)))


async def test_a_data_dir_without_room_is_told(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    shutil.copytree(made, folder)
    with mounted(folder / "node-1", "size=8k"):
        assert not faults("no room", await run_node(folder), ("node.data_dir", "room"))
