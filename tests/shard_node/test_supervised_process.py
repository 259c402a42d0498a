"""A whole node under somebody's care: systemd hears of it, its certificate is renewed, `status` asks it over https."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
import trio

from p2pworld.geometry import Cell
from tests.coordination.certificates import Authority, Pair
from tests.nodes import until
from tests.patience import PATIENCE_S
from tests.shard_node.test_certificates import der
from tests.shard_node.test_process import EAST_CM, HERE, NORTH_CM, City

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = PATIENCE_S


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    made = City(tmp_path)
    yield made
    made.close()


def shown(port: int) -> bytes:
    """The certificate that a new connection is shown, in DER."""
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", port), timeout=PATIENCE_S))


async def test_it_is_ready_renewed_and_ended(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    first, second = authority.issue("first"), authority.issue("second")

    def put(cert: Path, key: Path) -> None:
        (tmp_path / "play.crt").write_bytes(cert.read_bytes())
        (tmp_path / "play.key").write_bytes(key.read_bytes())

    put(*first)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, trio.fail_after(120):
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        more = f'[city]\nclaim = ["{Cell.at(EAST_CM, NORTH_CM, 9)}"]\n'
        config = city.make("a", more + '[tls]\nplay_cert = "play.crt"\nplay_key = "play.key"\nweb = true\n')
        process, said = city.start(config)
        assert said["web_url"].startswith("https://127.0.0.1:")
        assert said["play_url"].startswith("wss://127.0.0.1:")
        words = {systemd.recv(4_096).decode() for _ in range(2)}
        assert words == {"READY=1\nSTATUS=serving a", "WATCHDOG=1"}
        ports = [int(said[url].rpartition(":")[2].partition("/")[0]) for url in ("web_url", "play_url")]
        trust = ssl.create_default_context(cafile=authority.cert)

        def holds(pair: Pair) -> bool:
            return [shown(port) for port in ports] == [der(pair)] * 2

        def metrics() -> str:
            with urllib.request.urlopen(
                f"{said['web_url']}/metrics", timeout=PATIENCE_S, context=trust
            ) as answer:
                return str(answer.read().decode())

        assert holds(first)
        put(*second)
        process.send_signal(signal.SIGHUP)
        await until(lambda: holds(second), WAIT_S, "the second certificate")
        put(first.cert, second.key)
        process.send_signal(signal.SIGHUP)
        await until(lambda: "p2pworld_certificate_refused 1.0" in metrics(), WAIT_S, "a refusal that shows")
        assert holds(second)
        assert 'what="certificate_reloaded"} 1.0' in metrics()

        told = config.read_text().replace('web = "127.0.0.1:0"', f'web = "127.0.0.1:{ports[0]}"')
        config.write_text(told)
        asked = await trio.to_thread.run_sync(
            lambda: subprocess.run(
                [sys.executable, "-m", "shard_node.cli", "status", "--config", "a.toml", "--wait", "30"],
                cwd=city.folder,
                env=os.environ | {"PYTHONPATH": str(HERE)},
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        )
        assert asked.returncode == 0, asked.stderr
        assert asked.stdout.startswith("a is well; its lease holds for ")

        process.send_signal(signal.SIGTERM)
        assert await trio.to_thread.run_sync(process.wait) == 0
        assert systemd.recv(4_096).decode().startswith("STOPPING=1")
