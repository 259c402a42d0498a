"""How many of etcd's own leases outlive a leader that was paused, though they were kept alive: `python -m` this.

Three members; 20 keys, each under a lease of 3 s that is kept alive through the two members that run; the leader is
stopped for twice that time and goes on. A count below 20 after it are keys that vanished under a holder who had every
reason to believe in them. See docs/decisions/0006.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path

from tests.coordination.etcd_server import EtcdServer, Member, ask

LEASES = 20
TTL_S = 3
PAUSE_S = 6.0
AFTER_S = 2.0


def text(value: str) -> str:
    return b64encode(value.encode()).decode()


def keep_alive(leases: list[str], members: list[Member], for_s: float) -> None:
    """Keep every lease alive, through whichever member answers, for so long."""
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        for lease in leases:
            for member in members:
                try:
                    ask(member.url, "/v3/lease/keepalive", {"ID": lease})
                    break
                except OSError:
                    continue
        time.sleep(0.1)


def count(member: Member) -> int:
    """How many of the keys are there, by a linearizable read."""
    question = {"key": text("key-"), "range_end": text("key."), "count_only": True}
    return int(ask(member.url, "/v3/kv/range", question).get("count", 0))


def run_once(folder: Path) -> tuple[int, int]:
    """The keys while the leader is stopped, and after it has gone on."""
    with EtcdServer(folder, members=3) as server:
        leader = server.leader()
        others = [member for member in server.members if member is not leader]
        leases = []
        for number in range(LEASES):
            leases.append(ask(others[0].url, "/v3/lease/grant", {"TTL": str(TTL_S)})["ID"])
            key = {"key": text(f"key-{number}"), "value": text(""), "lease": leases[-1]}
            ask(others[0].url, "/v3/kv/put", key)
        leader.signal(signal.SIGSTOP)
        keep_alive(leases, others, PAUSE_S)
        paused = count(others[1])
        leader.signal(signal.SIGCONT)
        keep_alive(leases, others, AFTER_S)
        return paused, count(others[1])


if __name__ == "__main__":
    for run in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        with tempfile.TemporaryDirectory() as folder:
            print(
                f"run {run + 1}: %d keys while the leader was stopped, %d after it went on"
                % run_once(Path(folder))
            )
