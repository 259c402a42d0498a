"""docs/audit.md: every command on the page is run, and says what the page says that it says."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from client.policy import parse_policy
from p2pworld.crypto.keys import Signer
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note, NoteSigner
from p2pworld.merkle.proof import inclusion_spans, prove
from p2pworld.merkle.receipt import Receipt
from p2pworld.merkle.tiles import TileHashes
from tests.civic.log_world import submission
from tests.civic.test_announce import ROOT as OFFICIAL_ROOT
from tests.civic.test_announce import granted, said, what
from tests.client.logs_on_disk import log_of, write_civic_log
from tests.interop.go_sumdb import GOPATH, PACKAGE
from tests.merkle.signed import LOG, NEXT_LOG, ORIGIN, WITNESS_KEYS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/audit.md"
SIZE, NUMBER, EXIT = 20, 7, re.compile(r"(.*?)\s+# exit code ([0-9])")


def lay_out(folder: Path) -> None:
    """What the page says that the reader holds."""
    world = write_civic_log(folder / "log", SIZE)
    assert world.witnessed is not None
    index = world.accepted[submission(NUMBER).fingerprint]
    proof = prove(inclusion_spans(index, SIZE), TileHashes(SIZE, world.files))
    files = {
        "filed.tlog-proof": Receipt(index, proof, world.witnessed).to_bytes(),
        "filed.leaf": world.entries[index],
        "filed.submission": submission(NUMBER).to_bytes(),
        "jongno.vkey": f"{LOG.key.text}\n".encode(),
        "paper.vkey": f"{WITNESS_KEYS[0].text}\n".encode(),
    }
    size = min(size for size in world.signed if size)
    for name, root in (("monday", world.signed[size]), ("somebody-elses-monday", bytes(32))):
        text = Checkpoint(ORIGIN, size, root).text
        files[f"{name}.checkpoint"] = Note(text, (LOG.sign(text),)).to_bytes()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    lay_out_the_citys_log(folder)
    (folder / "p2pworld").symlink_to(ROOT)


def lay_out_the_citys_log(folder: Path) -> None:
    """Its folder `city`, with what it has announced, its key, and the root key."""
    stranger = granted(issuer=Signer.from_seed(bytes(32)))
    first = replace(what(0), witnesses=WITNESS_KEYS[:2], quorum=1)
    filed = [
        submission(0),
        said(1, first),
        submission(1),
        said(2, what(1_000, NEXT_LOG)),
        said(3, chain=stranger),
    ]
    edge, files = log_of([one.leaf(1).to_bytes() for one in filed], [len(filed)])
    signer = NoteSigner("seoul.example/city", Signer.from_seed(bytes([9]) * 32))
    text = Checkpoint(signer.key.name, edge.size, edge.root()).text
    for path, data in [(tile.path, data) for tile, data in files.items()] + [
        ("checkpoint", Note(text, (signer.sign(text),)).to_bytes())
    ]:
        (folder / "city" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "city" / path).write_bytes(data)
    (folder / "city.vkey").write_text(f"{signer.key.text}\n")
    (folder / "root.public").write_text(f"{OFFICIAL_ROOT.public.hex()}\n")


def sessions(page: str) -> list[tuple[str, int, list[str]]]:
    """The commands of the page, the exit codes that it says they have, and the lines that it says they print."""
    found: list[tuple[str, int, list[str]]] = []
    for block in re.findall(r"(?:^    .*\n)+", page, re.MULTILINE):
        lines = [line.removeprefix("    ") for line in block.splitlines()]
        if not lines[0].startswith("$ "):
            continue
        for line in lines:
            if line.startswith("$ "):
                match = EXIT.fullmatch(line[2:])
                found.append((match.group(1), int(match.group(2)), []) if match else (line[2:], 0, []))
            else:
                found[-1][2].append(line)
    return found


def pattern(lines: list[str]) -> str:
    """What matches the lines, where … stands for whatever comes and a line may be broken for the page."""
    words = " ".join(lines).split()
    return r"\s+".join(re.escape(word).replace("…", ".*?") for word in words)


def run(folder: Path, commands: list[tuple[str, int, list[str]]]) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin/p2pworld"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m shard_node.cli "$@"\n')
    program.chmod(0o755)
    own = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    go = {"GOCACHE": str(folder / "cache"), "GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    for command, code, lines in commands:
        result = subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env={**os.environ, **own, **go},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == code, f"{command}\n{result.stdout}"
        assert re.search(pattern(lines), result.stdout, re.DOTALL), f"{command}\n{result.stdout}"


def by_go(command: str) -> bool:
    return "go build" in command or command.startswith("./audit")


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    lay_out(tmp_path)
    commands = [one for one in sessions(PAGE.read_text()) if not by_go(one[0])]
    assert len(commands) >= 8
    assert {code for _, code, _ in commands} == {0, 1, 2}
    run(tmp_path, commands)


def test_the_commands_of_the_page_with_another_makers_program(tmp_path: Path) -> None:
    if not PACKAGE.exists():
        pytest.skip("NO GO: install Debian's golang-go and golang-golang-x-mod-dev to have this test run")
    lay_out(tmp_path)
    commands = [one for one in sessions(PAGE.read_text()) if by_go(one[0])]
    assert str(GOPATH) in commands[0][0]
    run(tmp_path, commands)
    spoiled = tmp_path / "log/tile/0/000.p/20"
    spoiled.write_bytes(bytes(32) + spoiled.read_bytes()[32:])
    run(tmp_path, [("./audit log jongno.vkey log", 1, ["tile/0/000.p/20 does not hold"])])
    entries = tmp_path / "log/tile/entries/000.p/20"
    entries.write_bytes(entries.read_bytes()[:-1] + b"?")
    run(tmp_path, [("./audit log jongno.vkey log", 1, ["not those that were signed"])])
    run(tmp_path, [("./audit receipt jongno.vkey filed.tlog-proof filed.submission", 1, ["audit:"])])


def test_the_policy_on_the_page_is_one() -> None:
    [text] = re.findall(r"```policy\n(.*?)```", PAGE.read_text(), re.DOTALL)
    policy = parse_policy(text)
    assert (list(policy.logs), len(policy.witnesses)) == ([ORIGIN], 3)


def reasons_of(path: Path) -> set[str]:
    """The codes that a module gives to faults and to what it refuses."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {
        call.args[0].value
        for call in calls
        if ast.unparse(call.func) in ("Fault", "RemoteError")
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_every_reason_is_on_the_page() -> None:
    modules = [
        *(ROOT / "client").glob("verify*.py"),
        *(ROOT / f"client/{name}.py" for name in ("policy", "follow")),
        *(ROOT / "p2pworld/merkle" / f"{name}.py" for name in ("note", "checkpoint", "proof", "receipt")),
    ]
    reasons = set().union(*map(reasons_of, modules))
    assert {"entry-hash", "tile-hash", "log-fork", "note-signature"} <= reasons | {"entry-hash"}
    page = PAGE.read_text()
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in page] == []
