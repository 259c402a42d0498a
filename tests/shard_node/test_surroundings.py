"""How much of what was lent for a time is left: told in /metrics, and in the doctor's words."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import trio
import trio.testing

from p2pworld.crypto.keys import NodeKeys
from p2pworld.grants import sign_grant
from shard_node.certificates import WebCertificate, not_after_ms
from shard_node.config import TlsConfig
from shard_node.surroundings import DISK_EVERY_S, Surroundings
from tests.coordination.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

ROOT, NODE = NodeKeys.from_seed(bytes([1]) * 32), NodeKeys.from_seed(bytes([2]) * 32)
GRANTS = [sign_grant(ROOT, NODE.public, "shard", ("cells:*",), 0, ends_ms) for ends_ms in (9_000, 5_000)]


async def test_the_first_end_counts_and_a_disk_is_looked_at_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("both")
    journal = tmp_path / "data" / "journal.sqlite"
    certificate = WebCertificate(TlsConfig(pair.cert, pair.key))
    around = Surroundings(journal, GRANTS, certificate, pair.cert)
    assert around.gauges(2_000) == {
        "grant_left_s": 3.0,
        "certificate_left_s": (not_after_ms(pair.cert, "") - 2_000) / 1000,
        "certificate_refused": 0.0,
        "store_certificate_left_s": (not_after_ms(pair.cert, "") - 2_000) / 1000,
    }
    with trio.move_on_after(DISK_EVERY_S / 2):
        await around.run()
    assert around.counters["disk_unseen"] == 1
    journal.parent.mkdir()
    journal.write_bytes(bytes(100))
    journal.with_name("journal.sqlite-wal").write_bytes(bytes(11))
    with trio.move_on_after(DISK_EVERY_S / 2):
        await around.run()
    seen = around.gauges(0)
    assert seen["journal_bytes"] == 111
    assert seen["disk_bytes"] == shutil.disk_usage(tmp_path).total
    assert 0 <= seen["disk_free_bytes"] <= seen["disk_bytes"]


def test_what_a_node_does_not_have_has_no_end(tmp_path: Path) -> None:
    assert Surroundings(tmp_path / "journal", GRANTS[:1], None, None).gauges(0) == {"grant_left_s": 9.0}
