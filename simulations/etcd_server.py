"""A real etcd: one member or several, on this machine's loopback or each on a host of its own, its data in a folder.

Heartbeats and elections are faster than etcd's defaults, so that a new leader is there within a second. etcd syncs
each write; the folder lies wherever the machine's temporary files do.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from shard_node.coordination.gateway import Endpoint
from simulations.processes import begin_child, free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from simulations.fabric import Host

__all__ = ["EtcdServer", "Member", "ask"]

READY_S = 120.0
POLL_S = 0.02
ASK_S = 2.0


class Member:
    """One member of a cluster: its process, its ports, its data."""

    def __init__(
        self, server: EtcdServer, number: int, client_port: int, peer_port: int, host: Host | None = None
    ) -> None:
        self.name = f"m{number}"
        scheme = "https" if server.tls_arguments else "http"
        address = host.address if host else "127.0.0.1"
        self.url = f"{scheme}://{address}:{client_port}"
        self.peer_url = f"http://{address}:{peer_port}"
        self.data = server.folder / self.name
        self.log = server.folder / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._server = server
        self._enter = host.enter if host else None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.parse(self.url)

    def start(self) -> None:
        """Start it (again) on the same ports and data."""
        everybody = ",".join(f"{m.name}={m.peer_url}" for m in self._server.members)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self._server.program,
                    *("--name", self.name, "--data-dir", str(self.data), "--initial-cluster", everybody),
                    *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
                    *("--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url),
                    *("--heartbeat-interval", "50", "--election-timeout", "500"),
                    *("--logger", "zap", "--log-level", "warn"),
                    *self._server.tls_arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=begin_child(self._enter),
            )

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None


class EtcdServer:
    """A cluster of one or three members, on `hosts` if they are given; as a context it runs, and is gone afterwards.

    Raises:
        FileNotFoundError: there is no etcd.
    """

    def __init__(
        self,
        folder: Path,
        members: int = 1,
        tls_arguments: tuple[str, ...] = (),
        hosts: Sequence[Host] = (),
    ) -> None:
        program = shutil.which("etcd")
        if program is None:
            raise FileNotFoundError("install etcd 3.4 or newer (Debian: etcd-server)")
        self.program = program
        self.folder = folder
        self.tls_arguments = tls_arguments
        ports = free_ports(2 * members)
        where: Sequence[Host | None] = hosts or [None] * members
        self.members = [Member(self, i, ports[2 * i], ports[2 * i + 1], where[i]) for i in range(members)]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(member.endpoint for member in self.members)

    def start(self) -> None:
        """Start every member, and wait until they have a leader."""
        for member in self.members:
            member.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until every member answers linearizable reads (by TLS: until it takes connections)."""
        until_s = time.monotonic() + READY_S
        for member in self.members:
            while not self._ready(member):
                assert time.monotonic() < until_s, f"etcd does not come up:\n{self.log_tail()}"
                time.sleep(POLL_S)

    def _ready(self, member: Member) -> bool:
        assert member.process is not None
        assert member.process.poll() is None, f"etcd has ended:\n{self.log_tail()}"
        if self.tls_arguments:  # connections are taken in once the member is ready to serve
            with socket.socket() as probe:
                return probe.connect_ex((member.endpoint.host, member.endpoint.port)) == 0
        try:
            ask(member.url, "/v3/kv/range", {"key": "AA=="})
        except OSError as error:
            return isinstance(error, urllib.error.HTTPError) and error.code == 400  # it wants a user
        return True

    def leader(self) -> Member:
        """The member that leads, as the first one that runs tells."""
        until_s = time.monotonic() + READY_S
        while time.monotonic() < until_s:
            for member in self.members:
                try:
                    status = ask(member.url, "/v3/maintenance/status", {})
                except OSError:
                    continue
                for other in self.members:
                    try:
                        theirs = ask(other.url, "/v3/maintenance/status", {})
                    except OSError:
                        continue
                    if theirs["header"]["member_id"] == status.get("leader"):
                        return other
            time.sleep(POLL_S)
        raise TimeoutError(f"no leader:\n{self.log_tail()}")

    def kill(self) -> None:
        """End every member without a word."""
        for member in self.members:
            member.kill()

    def log_tail(self) -> str:
        texts = [
            member.log.read_text(errors="replace")[-2_000:] for member in self.members if member.log.exists()
        ]
        return "\n".join(texts)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.kill)
            self.start()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def ask(url: str, path: str, question: dict[str, Any]) -> dict[str, Any]:
    """One question to one member, as any other program would put it."""
    request = urllib.request.Request(url + path, json.dumps(question).encode())
    with urllib.request.urlopen(request, timeout=ASK_S) as answer:
        value = json.loads(answer.read())
    assert isinstance(value, dict)
    return value
