"""Whole nodes as processes: they find each other, let people in, end in order, and say in a sentence what is wrong."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from p2pworld.crypto.keys import PersonKeys, sign_hello, verify_challenge
from p2pworld.geometry import Cell, from_5179
from p2pworld.messages import Challenge, Pose, Profile, Welcome
from p2pworld.wire.codec import decode_play, encode_play
from p2pworld.wire.frames import decode_poses
from shard_node.cli import COMMANDS
from tests.patience import PATIENCE_S
from tests.shard_node.playing import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parents[2]
EAST_CM, NORTH_CM = from_5179(953_900.0, 1_952_000.0)  # near City Hall


def p2pworld(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shard_node.cli", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class City:
    """A folder with a root key, and nodes that were made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = self.run("keys", "root", "root.pem")
        self.nodes: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str) -> str:
        done = p2pworld(*arguments, folder=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make(self, name: str, more: str = "") -> Path:
        public = self.run("keys", "node", f"{name}.pem")
        self.run("keys", "grant", f"{name}.grant", "--key", "root.pem", "--subject", public)
        path = self.folder / f"{name}.toml"
        path.write_text(f"""
[node]
name = "{name}"
data_dir = "{name}"
key_file = "{name}.pem"
grant_file = "{name}.grant"
roots = ["{self.root}"]
[listen]
play = "127.0.0.1:0"
link = "127.0.0.1:0"
web = "127.0.0.1:0"
[coordination]
path = "city.sqlite"
[log]
format = "json"
{more}
""")
        return path

    def start(self, config: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        """The process, and what it said when it listened."""
        process = subprocess.Popen(
            [sys.executable, "-m", "shard_node", "--config", config.name],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(HERE)},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.nodes.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            said: dict[str, Any] = json.loads(line)
            if "listens" in said["message"]:
                return process, said
        raise AssertionError("the node ended before it listened")

    def close(self) -> None:
        for process in self.nodes:
            process.kill()
            process.communicate()


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    made = City(tmp_path)
    yield made
    made.close()


def fetch(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def until(url: str, holds: Any) -> Any:
    """Asks again and again until `holds`; each answer takes the node a moment."""
    while True:
        status, body = await trio.to_thread.run_sync(fetch, url)
        if holds(status, body):
            return body


async def enter(play_url: str) -> tuple[Client, trio.SocketStream, Welcome]:
    """Logs a person in, and checks the node's part of it."""
    port = int(play_url.rpartition(":")[2].partition("/")[0])
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    client = Client(stream)
    await client.open()
    challenge = await client.control()
    assert isinstance(challenge, Challenge)
    assert verify_challenge(challenge.node, challenge.nonce, play_url, challenge.sig)
    assert challenge.url == play_url
    hello = sign_hello(
        PersonKeys.from_seed(os.urandom(32)),
        challenge.node,
        challenge.nonce,
        time.time_ns() // 1_000_000,
        play_url,
        Profile("하늘"),
        want=Pose(EAST_CM, NORTH_CM),
    )
    await client.say(encode_play(hello))
    while True:
        payload = await client.payload()
        if payload[0] == Welcome.KIND:
            welcome = decode_play(payload)
            assert isinstance(welcome, Welcome)
            return client, stream, welcome


async def test_a_node_lets_people_in_shows_them_and_ends_in_order(city: City) -> None:
    process, said = city.start(city.make("a", f'[city]\nclaim = ["{Cell.at(EAST_CM, NORTH_CM, 9)}"]'))
    with trio.fail_after(PATIENCE_S):
        await until(f"{said['web_url']}/healthz", lambda status, body: status == 200 and body["cells_held"])
        client, stream, welcome = await enter(said["play_url"])
        async with stream:
            while True:
                payload = await client.payload()
                if payload[0] == 0x02 and welcome.id in decode_poses(payload).ids.tolist():
                    break
            answer = await until(f"{said['web_url']}/api/v1/regions", lambda status, body: status == 200)
            held = [region for region in answer["regions"] if region["holder"]]
            assert all(region["holder"].startswith(said["node"]) for region in held)
            assert sum(region["people"] for region in held) == 1
            process.send_signal(signal.SIGTERM)
            bye = await client.bye()
            assert bye.code == "leaving"
        assert await trio.to_thread.run_sync(process.wait) == 0
    with sqlite3.connect(city.folder / "city.sqlite") as db:
        assert db.execute("SELECT count(*) FROM lease WHERE ended = 0").fetchone() == (0,)
    db.close()


async def test_two_nodes_link_and_each_ends_alone(city: City) -> None:
    _, a = city.start(city.make("a", f'[city]\nclaim = ["{Cell.at(EAST_CM, NORTH_CM, 9)}"]'))
    with trio.fail_after(PATIENCE_S):
        await until(f"{a['web_url']}/healthz", lambda status, body: status == 200)
        second, b = city.start(city.make("b"))

        def linked(status: int, body: Any) -> bool:
            nodes = body["nodes"]
            if len(nodes) != 2 or not any(node["linked"] for node in nodes):
                return False
            return all(node["load"] is not None and node["load"]["tick_ms"] == 100 for node in nodes)

        for said in (a, b):
            await until(f"{said['web_url']}/api/v1/nodes", linked)
        second.send_signal(signal.SIGINT)
        assert await trio.to_thread.run_sync(second.wait) == 0
        await until(f"{a['web_url']}/api/v1/nodes", lambda status, body: len(body["nodes"]) == 1)
        health = await until(f"{a['web_url']}/healthz", lambda status, body: status == 200)
        assert health["links"] == 0


def test_what_a_person_can_mend_is_one_sentence_and_exit_code_2(city: City) -> None:
    config = city.make("a")
    _, said = city.start(config)
    text = config.read_text()

    def refused(change: tuple[str, str], *words: str) -> None:
        (city.folder / "b.toml").write_text(text.replace(*change))
        done = p2pworld("node", "--config", "b.toml", folder=city.folder)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("p2pworld: ")
        for word in words:
            assert word in done.stderr

    port = said["play_url"].rpartition(":")[2].partition("/")[0]
    refused(('play = "127.0.0.1:0"', f'play = "127.0.0.1:{port}"'), "listen.play", port, "in use")
    refused(("", ""), "node.data_dir", "Another process")
    (city.folder / "bad.pem").write_text("no key\n")
    refused(('"a.pem"', '"bad.pem"'), "node.key_file", "bad.pem", "keys node")
    other = city.run("keys", "node", "other.pem")
    refused(('"a.pem"', '"other.pem"'), "node.grant_file")
    refused((city.root, other), "node.grant_file", "grant")
    (city.folder / "new").mkdir()
    with sqlite3.connect(city.folder / "new" / "journal.sqlite") as db:
        db.execute("CREATE TABLE other (x)")
    db.close()
    refused(('data_dir = "a"', 'data_dir = "new"'), "journal in node.data_dir")


def test_another_lease_time_than_the_citys_is_refused(city: City) -> None:
    city.start(city.make("a"))
    city.make("b", "[city]\nttl_s = 9.0")
    done = p2pworld("node", "--config", "b.toml", folder=city.folder)
    assert done.returncode == 2
    assert "coordination store" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_doctor_says_what_is_wrong(city: City) -> None:
    config = city.make("a")
    good = p2pworld("doctor", "--config", config.name, folder=city.folder)
    assert good.returncode == 0, good.stdout
    assert "wrong" not in good.stdout
    os.chmod(city.folder / "a.pem", 0o644)
    (city.folder / "city.sqlite").write_bytes(b"not a store" * 100)
    bad = p2pworld("doctor", "--config", config.name, folder=city.folder)
    assert bad.returncode == 1
    wrong = [line for line in bad.stdout.splitlines() if line.startswith("wrong")]
    assert len(wrong) == 2
    assert "chmod 600" in wrong[0]
    assert "coordination.path" in wrong[1]
    none = p2pworld("doctor", "--config", "none.toml", folder=city.folder)
    assert (none.returncode, none.stdout.count("\n")) == (1, 1)


def test_keys_are_private_and_never_overwritten(city: City) -> None:
    assert (city.folder / "root.pem").stat().st_mode & 0o777 == 0o600
    before = (city.folder / "root.pem").read_text()
    again = p2pworld("keys", "root", "root.pem", folder=city.folder)
    assert (again.returncode, (city.folder / "root.pem").read_text()) == (2, before)
    assert "is there already" in again.stderr
    assert city.run("keys", "show", "root.pem") == city.root
    wrong = p2pworld("keys", "grant", "g", "--key", "root.pem", "--subject", "abc", folder=city.folder)
    assert (wrong.returncode, (city.folder / "g").exists()) == (2, False)
    wrong = p2pworld(
        "keys",
        "grant",
        "g",
        "--key",
        "root.pem",
        "--subject",
        city.root,
        "--role",
        "king",
        folder=city.folder,
    )
    assert (wrong.returncode, (city.folder / "g").exists()) == (2, False)
    city.run("keys", "grant", "g", "--key", "root.pem", "--subject", city.root, "--scope", "cells:0213")
    assert "shard over cells:0213" in city.run("keys", "show", "g")


def test_help_imports_no_subcommand() -> None:
    code = "import sys, shard_node.cli as c; c.main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    for name, (_, summary) in COMMANDS.items():
        assert name in done.stdout
        assert summary[:30] in done.stdout
    assert not {"numpy", "trio", "starlette", "shard_node.commands"} & set(done.stdout.split())
