"""A real node, a real witness, and the commands: keys are announced and read, somebody files, and can prove it."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from client.file_command import REFUSED, UNANSWERED, UNWITNESSED
from client.walk import places_around
from p2pworld.civic.transaction import open_sealed, parse_submission
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.grants import grant_to_text, sign_grant
from shard_node.cli import main
from simulations.processes import City
from tests.patience import PATIENCE_S
from tests.shard_node.test_city_of_processes import wait_ready, wait_until
from tests.shard_node.test_witness import Running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OFFICE_SECRET = bytes([40]) * 32
OFFICE = sealing_public(OFFICE_SECRET).hex()
AT_MOST_S = PATIENCE_S


def call(*words: object, code: int = 0) -> str:
    """What the command prints."""
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == code, f"{words}\n{result.output}"
    return result.stdout


class Desk:
    """A folder, a node that holds the logs of the city and of Jongno, and their witness."""

    def __init__(self, folder: Path, city: City, keys: dict[str, str], witness: str) -> None:
        self.folder, self.city, self.keys, self.witness = folder, city, keys, witness
        [self.node] = city.nodes
        self.roots = ("--root", city.root.public.hex())

    def official(self, name: str, root: Signer) -> tuple[object, ...]:
        """A key, and the grant by which it may announce keys; as options."""
        signer, now_ms = Signer.from_seed(os.urandom(32)), time.time_ns() // 1_000_000
        (self.folder / f"{name}.pem").write_text(signer.to_pem())
        scope = ("streams:*",)
        grant = sign_grant(root, signer.public, "civic", scope, now_ms - 60_000, now_ms + 600_000)
        (self.folder / f"{name}.grant").write_text(f"{grant_to_text(grant)}\n")
        return "--key", self.folder / f"{name}.pem", "--chain", self.folder / f"{name}.grant"

    def announce(self, who: tuple[object, ...], stream: str, code: int = 0) -> str:
        node = ("--node", self.node.web_url)
        what = ("--stream", stream, "--from", 0, "--log-key", self.keys[stream], "--office", OFFICE)
        seen = ("--witness", self.witness, "--quorum", 1, "--out", self.folder / "announced")
        return call("keys", "announce", *node, *who, "--city-key", self.keys["city"], *what, *seen, code=code)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with City(folder / "city", 1, places_around(), 512, ttl_s=3.0) as city:
        keys = city.keep_logs(["city", "jongno"], city.nodes)
        witness = call("witness", "key", folder / "witness.key", "--name", "paper.example").strip()
        (folder / "witness.toml").write_text(
            f'[witness]\nlisten = "127.0.0.1:0"\ndata_dir = "seen"\nkey_file = "witness.key"\n'
            f"logs = {json.dumps(list(keys.values()))}\n"
        )
        call("witness", "begin", "--config", folder / "witness.toml")
        with Running(folder) as running:
            config = city.nodes[0].config
            text = config.read_text().replace("\n[civic]\n", "\n[civic]\nquorum = 1\n")
            config.write_text(f'{text}\n[[civic.witness]]\nurl = "{running.url}"\nvkey = "{witness}"\n')
            city.start()
            wait_ready(city)
            yield Desk(folder, city, keys, witness)


def test_keys_are_announced_and_somebody_files_and_can_prove_it(desk: Desk, tmp_path: Path) -> None:
    official = desk.official("official", desk.city.root)
    for stream in ("city", "jongno"):
        assert desk.announce(official, stream).startswith("filed: entry ")
    stranger = desk.official("stranger", Signer.from_seed(os.urandom(32)))
    assert "civic-keys" not in desk.announce(stranger, "jongno", code=REFUSED)

    key = ("--key", desk.keys["city"])
    told = call("audit", "keys", f"{desk.node.web_url}/log/city", *desk.roots, *key, "--json")
    pinned = tmp_path / "keys.json"
    pinned.write_text(told)
    streams = json.loads(told)["streams"]
    assert {stream: found["keys"] for stream, found in streams.items()} == {
        stream: [text] for stream, text in desk.keys.items()
    }
    folder = desk.city.folder / f"{desk.node.name}-log" / "city"
    said = call("audit", "keys", folder, *desk.roots, *key)
    assert desk.keys["jongno"] in said
    assert "from size 0" in said
    other = call("audit", "keys", folder, "--root", bytes(32).hex(), *key)
    assert other.count("counts for nothing") == 2
    assert desk.node.ask_json("/civic/streams")["announced"]["streams"] == streams

    what = ("--stream", "jongno", "--topic", "parks", "--text", "벤치가 부족합니다")
    node = ("--node", desk.node.web_url)
    kept = ("--pinned", pinned, "--out", tmp_path / "filed")
    gone = ("--node", "http://127.0.0.1:1")
    result = CliRunner().invoke(main, list(map(str, ["file", *gone, *node, *kept, *what])))
    assert result.exit_code in (0, UNWITNESSED), result.output
    [submission] = (tmp_path / "filed").glob("*.submission")
    again = ["file", *node, "--pinned", pinned, "--again", submission]
    wait_until(
        lambda: CliRunner().invoke(main, list(map(str, again))).exit_code == 0,
        AT_MOST_S,
        lambda: desk.node.log_tail(),
    )
    keys = ("--key", desk.keys["jongno"], "--key", desk.witness, "--quorum", 1)
    for beside in (".submission", ".leaf"):
        files = submission.with_suffix(".tlog-proof"), submission.with_suffix(beside)
        assert "seen by paper.example" in call("verify", *files, *keys)

    filed = parse_submission(submission.read_bytes())
    assert filed.sealed is not None
    private = open_sealed(filed.filing, filed.sealed, OFFICE_SECRET)
    assert [field.value for field in private.fields] == ["벤치가 부족합니다"]
    identity = Signer.from_text((tmp_path / "filed/identity.key").read_text())
    assert private.identity == identity.public
    for secret in (submission.with_suffix(".secrets"), tmp_path / "filed/identity.key"):
        assert secret.stat().st_mode & 0o777 == 0o600

    metrics = (desk.node.ask("/metrics") or b"").decode()
    for line in (
        'p2pworld_civic_held{stream="jongno"} 1.0',
        'p2pworld_civic_size{stream="jongno"} 1.0',
        'p2pworld_civic_size{stream="city"} 2.0',
        'p2pworld_civic_quorum_missing{stream="jongno"} 0.0',
        'p2pworld_civic_stage_seconds_count{stage="whole",stream="jongno"} 1.0',
    ):
        assert line in metrics, line


def test_what_is_wrong_is_a_sentence_and_an_exit_code(desk: Desk, tmp_path: Path) -> None:
    node, out = ("--node", desk.node.web_url), ("--out", tmp_path / "filed")
    what = ("--stream", "jongno", "--topic", "parks", "--text", "text")
    key, office = ("--key", desk.keys["jongno"]), ("--office", OFFICE)
    endless = tmp_path / "endless"
    with endless.open("wb") as file:
        file.truncate(1 << 40)
    for words, said in (
        ((*node, *out, *key, *office), "Give --stream"),
        ((*node, *out, *what, *office), "Whose signature"),
        ((*node, *out, *what, *key), "Nobody could read it"),
        ((*node, *out, *what, *key, "--office", "abc"), "64 hex digits"),
        ((*node, *out, *what, *key, *office, "--topic", "Two Words"), "It cannot be filed so"),
        ((*node, *out, *what, *key, *office, "--text", "가" * 20_001), "longer than 20000"),
        (("--node", "ftp://x", *out, *what, *key, *office), "is no web address"),
        ((*node, *key, "--again", desk.node.config), "is no submission"),
        ((*node, *key, "--again", endless), "is no submission"),
        ((*node, *key, *what, "--again", desk.node.config), "leave out"),
    ):
        result = CliRunner().invoke(main, list(map(str, ["file", *words])))
        assert (result.exit_code, said in result.output) == (2, True), result.output
    result = CliRunner().invoke(
        main,
        list(map(str, ["file", *node, *out, *what, *key, *office, "--stream", "mapo", "--language", "ko"])),
    )
    assert result.exit_code == REFUSED
    assert "기관을 다시 선택해 주세요" in result.output
    gone = ["file", "--node", "http://127.0.0.1:1", *out, *what, *key, *office, "--wait", 0.2]
    result = CliRunner().invoke(main, list(map(str, gone)))
    assert result.exit_code == UNANSWERED
    assert "--again" in result.output
