"""The doctor finds what would stop a node, or soon will: whatever the page for operators tells to look at."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from p2pworld.crypto.keys import NodeKeys
from p2pworld.grants import grant_to_text, sign_grant
from shard_node import doctor
from tests.coordination.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

ROOT, NODE = NodeKeys.from_seed(bytes([1]) * 32), NodeKeys.from_seed(bytes([2]) * 32)


def write(folder: Path, more: str = "", advertise: str = "") -> Path:
    """A node's configuration, and what it names."""
    now_ms = time.time_ns() // 1_000_000
    (folder / "node.pem").write_text(NODE.to_pem())
    (folder / "node.pem").chmod(0o600)
    grant = sign_grant(ROOT, NODE.public, "shard", ("cells:*",), now_ms - 1_000, now_ms + 90 * doctor.DAY_MS)
    (folder / "node.grant").write_text(grant_to_text(grant) + "\n")
    path = folder / "node.toml"
    path.write_text(
        f'[node]\nname = "a"\ndata_dir = "data"\nkey_file = "node.pem"\ngrant_file = "node.grant"\n'
        f'roots = ["{ROOT.public.hex()}"]\n[listen]\nplay = "127.0.0.1:0"\nlink = "127.0.0.1:0"\nweb = "127.0.0.1:0"\n'
        f'[advertise]\n{advertise}\n[coordination]\npath = "city.sqlite"\n{more}'
    )
    return path


@pytest.fixture
def home(tmp_path: Path) -> str:
    """The folder as the table of mounts would name it."""
    return os.path.realpath(tmp_path)


async def wrong(path: Path) -> dict[str, str]:
    """What is not as it should be: about what, and the sentence."""
    return {finding.about: finding.sentence for finding in await doctor.examine(path) if not finding.ok}


async def test_nothing_is_wrong_where_nothing_is(tmp_path: Path) -> None:
    assert await wrong(write(tmp_path)) == {}


async def test_a_certificate_that_ends_soon_or_is_for_another_host(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("play", hosts=("play.example",))
    tls = f'[tls]\nplay_cert = "{pair.cert}"\nplay_key = "{pair.key}"\nweb = true\n'
    url = 'play_url = "wss://{0}/play"\nweb_url = "https://{1}"'
    found = await wrong(write(tmp_path, more=tls, advertise=url.format("other.example", "play.example")))
    assert "is not for other.example, which advertise.play_url names" in found["tls"]
    found = await wrong(write(tmp_path, more=tls, advertise=url.format("play.example", "other.example")))
    assert "advertise.web_url" in found["tls"]
    found = await wrong(write(tmp_path, more=tls, advertise=url.format("play.example", "play.example")))
    assert "tls.play_cert ends in 1.0 days" in found["tls"]  # those of tests are for a day


async def test_locks_on_a_disk_that_machines_share(
    tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(doctor, "MOUNTS", str(mounts))
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {home} nfs4 rw 0 0\n/dev/b {home}/data ext4 rw 0 0\n")
    assert (await wrong(write(tmp_path)))["locks"].startswith("coordination.path is on nfs4")
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {home}/dat nfs4 rw 0 0\n")
    assert await wrong(write(tmp_path)) == {}
    monkeypatch.setattr(doctor, "MOUNTS", str(tmp_path / "none"))
    assert await wrong(write(tmp_path)) == {}


async def test_civic_logs_in_a_file(tmp_path: Path) -> None:
    table = '[civic]\norigin = "a.example"\nstreams = ["city"]\npublish = "log"\nkey_file = "log.key"\n'
    (tmp_path / "log.key").write_text("none")
    path = write(tmp_path, more=f'{table}store = "there/civic.sqlite"\n')
    assert "log.key, which holds no key" in (await wrong(path))["civic"]
    (tmp_path / "log.key").write_text(bytes(32).hex())
    (tmp_path / "log.key").chmod(0o600)
    assert "civic.store is in" in (await wrong(path))["civic"]
    (tmp_path / "there").mkdir()
    assert await wrong(path) == {}
