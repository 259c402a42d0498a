"""Following a log over HTTP: the copy is whole and verifies, and whatever the log tells otherwise later is noticed."""

from __future__ import annotations

import functools
import http.server
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from p2pworld.civic.witness import checkpoint_path
from p2pworld.merkle.note import Note
from p2pworld.merkle.tiles import ENTRIES, Tile
from shard_node.cli import main
from tests.client.logs_on_disk import write_log
from tests.merkle.signed import LOG, ORIGIN, WITNESS_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = ["--key", LOG.key.text, "--key", WITNESS_KEYS[0].text, "--quorum", "1"]
ENTRIES_IN_LOG = [b"%d" % number for number in range(5_000)]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, as any web server would."""

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address where the folder is served."""
    folder.mkdir(exist_ok=True)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address where it is served."""
    with serving(tmp_path / "served") as url:
        yield tmp_path / "served", url


def ask(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["audit", *map(str, words)])
    return result.exit_code, result.output


def verify(folder: Path) -> int:
    return CliRunner().invoke(main, ["verify", str(folder), *KEYS]).exit_code


def test_a_copy_grows_with_its_log_and_verifies(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    copy = tmp_path / "copy"
    for before, size in ((0, 1), (1, 255), (255, 256), (256, 700), (700, 700), (700, 5_000)):
        write_log(folder, ENTRIES_IN_LOG[:size], [size])
        code, said = ask("copy", url, copy, *KEYS)
        assert (code, said) == (0, f"{ORIGIN}: {size} entries, {size - before} of them new.\n")
        assert verify(copy) == 0
    for path in folder.rglob("*"):  # what is whole is the same byte by byte
        if path.is_file() and ".p" not in str(path.relative_to(folder)):
            assert path.read_bytes() == (copy / path.relative_to(folder)).read_bytes()


def test_a_full_bundle_serves_where_the_partial_one_is_gone(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    write_log(folder, ENTRIES_IN_LOG[:256], [256])
    short = tmp_path / "short"
    write_log(short, ENTRIES_IN_LOG[:100], [100])
    (folder / "checkpoint").write_bytes((short / "checkpoint").read_bytes())
    assert ask("copy", url, tmp_path / "copy", *KEYS)[0] == 0
    assert verify(tmp_path / "copy") == 0


@pytest.mark.parametrize(
    ("size", "other", "reason", "proven"),
    [(20, 20, "log-fork", True), (30, 20, "log-fork", True), (20, 30, "log-root", True)],
)
def test_a_log_that_tells_another_history_is_noticed(
    served: tuple[Path, str], tmp_path: Path, size: int, other: int, reason: str, proven: bool
) -> None:
    folder, url = served
    copy = tmp_path / "copy"
    write_log(folder, ENTRIES_IN_LOG[:size], [size])
    assert ask("watch", url, copy, *KEYS, "--times", 1)[0] == 0
    write_log(folder, [b"forged", *ENTRIES_IN_LOG[1:other]], [other])
    code, said = ask("watch", url, copy, *KEYS, "--times", 1)
    assert (code, f"{reason}: " in said) == (1, True), said
    assert (copy / "refused.checkpoint").read_bytes() == (folder / "checkpoint").read_bytes()
    if proven:
        result = CliRunner().invoke(main, ["verify", str(copy / "proof.fork"), *KEYS])
        assert (result.exit_code, "log-fork" in result.output) == (1, True)
    assert verify(copy) == 0  # what it was shown before is still there


def test_a_log_that_shrinks_or_has_gaps_is_noticed(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    copy = tmp_path / "copy"
    write_log(folder, ENTRIES_IN_LOG[:300], [300])
    bundle = folder / Tile(ENTRIES, 0).path
    kept = bundle.read_bytes()
    for data, reason in ((kept[:-1], "bundle-form"), (kept[:-1] + b"?", "log-root")):
        bundle.write_bytes(data)
        code, said = ask("copy", url, copy, *KEYS)
        assert (code, reason in said) == (1, True), said
    bundle.unlink()
    code, said = ask("copy", url, copy, *KEYS)
    assert (code, "tile-missing" in said) == (1, True), said
    bundle.write_bytes(kept)
    assert ask("copy", url, copy, *KEYS)[0] == 0
    write_log(folder, ENTRIES_IN_LOG[:299], [299])
    code, said = ask("copy", url, copy, *KEYS)
    assert (code, "log-behind" in said) == (1, True), said
    (folder / "checkpoint").write_bytes(bytes(70_000))
    code, said = ask("copy", url, copy, *KEYS)
    assert (code, "follow-size" in said) == (1, True), said


def test_a_copy_that_is_damaged_is_not_gone_on_with(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    copy = tmp_path / "copy"
    write_log(folder, ENTRIES_IN_LOG[:20], [20])
    assert ask("copy", url, copy, *KEYS)[0] == 0
    write_log(tmp_path / "other", [b"forged", *ENTRIES_IN_LOG[1:20]], [20])
    for tile in (Tile(ENTRIES, 0, 20), Tile(0, 0, 20)):
        (copy / tile.path).write_bytes((tmp_path / "other" / tile.path).read_bytes())
    code, said = ask("copy", url, copy, *KEYS)
    assert (code, "cannot be gone on with" in said, "log-root" in said) == (2, True, True)


def test_too_few_witnesses_and_the_copy_waits(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    note = write_log(folder, ENTRIES_IN_LOG[:20], [20])
    (folder / "checkpoint").write_bytes(Note(note.text, note.signatures[:1]).to_bytes())
    code, said = ask("copy", url, tmp_path / "copy", *KEYS)
    assert (code, "checkpoint-quorum" in said) == (1, True)
    code, said = ask("watch", url, tmp_path / "copy", *KEYS, "--times", 2, "--every", 0)
    assert (code, said.count("not enough yet")) == (0, 2)
    (folder / "checkpoint").write_bytes(note.to_bytes())
    assert ask("copy", url, tmp_path / "copy", *KEYS)[0] == 0


def test_what_witnesses_signed_is_copied_while_the_log_runs_ahead(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = served
    note = write_log(folder, ENTRIES_IN_LOG[:300], [260, 40])
    (folder / "checkpoint").write_bytes(Note(note.text, note.signatures[:1]).to_bytes())
    beside = folder / "checkpoint.witnessed"
    for entries, size, code in (
        (ENTRIES_IN_LOG, 260, 0),
        ([b"forged", *ENTRIES_IN_LOG], 260, 1),
        (ENTRIES_IN_LOG, 100, 0),
        (ENTRIES_IN_LOG, 300, 0),
    ):
        beside.write_bytes(write_log(tmp_path / "other", entries[:size], [size]).to_bytes())
        found, said = ask("copy", url, tmp_path / "copy", *KEYS)
        assert (found, "log-fork" in said) == (code, code == 1), said
    assert said == f"{ORIGIN}: 300 entries, 40 of them new.\n"
    assert verify(tmp_path / "copy") == 0


def test_what_a_witness_saw_is_compared(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    write_log(folder, ENTRIES_IN_LOG[:20], [20])
    forged = [b"forged", *ENTRIES_IN_LOG[1:]]
    with serving(tmp_path / "witness") as witness:
        words = ["watch", url, tmp_path / "copy", *KEYS, "--witness", witness, "--every", 0]
        assert ask(*words, "--times", 2)[0] == 0  # it has signed nothing of this log yet
        told = tmp_path / "witness" / checkpoint_path(ORIGIN)[1:]
        told.parent.mkdir()
        for entries, size, code in (
            (ENTRIES_IN_LOG, 20, 0),
            (ENTRIES_IN_LOG, 11, 0),
            (ENTRIES_IN_LOG, 25, 0),
            (forged, 25, 0),  # nobody here has 25 entries yet
            (forged, 11, 1),
            (forged, 20, 1),
        ):
            write_log(tmp_path / "seen", entries[:size], [size])
            told.write_bytes((tmp_path / "seen/checkpoint").read_bytes())
            found, said = ask(*words, "--times", 1)
            assert (found, "log-fork" in said) == (code, code == 1)
            assert (tmp_path / "copy/proof.fork").exists() == (code == 1)
    assert verify(tmp_path / "copy/proof.fork") == 1
    code, said = ask(*words, "--times", 1)
    assert (code, "does not answer" in said) == (0, True)  # a witness that is away is no fault of the log


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["copy", "ftp://log.example", "copy"], "is no web address"),
        (["copy", "http://[log", "copy"], "is no web address"),
        (["copy", "http://a b", "copy", *KEYS], "is no web address"),
        (["copy", f"http://{'a' * 64}.example", "copy", *KEYS], "is no web address"),
        (["watch", "http://127.0.0.1:1", "copy", *KEYS, "--witness", "http://[paper"], "is no web address"),
        (["copy", "http://127.0.0.1:1", "copy", *KEYS], "cannot be copied"),
        (["copy", "http://127.0.0.1:1", "copy", "--key", "x"], "this is no key"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = ask(*words)
    assert (code, said in output) == (2, True), output
