"""A process of citizens who file: so many sockets, each from an address of its own, and what each of them waited.

Run with the path of a job. It opens its sockets, says `ready` on its standard output, and begins at a line on its
standard input: `full LIMIT` keeps so many requests under way on every socket, `paced RATE` sends so many a second at
even distances, whoever has been answered. It ends when all of its filings are answered, and prints what came of it.

What a paced request waited counts from when it was due, so that a node that stands still is not spared the waiting of
those who would have come meanwhile.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from simulations.bench.civic.doors import HttpDoor, PlayDoor

if TYPE_CHECKING:
    from simulations.bench.civic.doors import Answer, Door

__all__ = ["Job", "read_filings", "write_filings"]

IN, OUT = select.EPOLLIN, select.EPOLLOUT
READ_BYTES: Final = 262_144
POLL_S: Final = 0.05
STALLED_S: Final = 30.0  # nobody was answered for so long
KEPT: Final = 200  # receipts that are given back, to be verified


@dataclass(frozen=True, slots=True)
class Job:
    """Filings `begin` to `end` of a file go to `url` over `sockets` sockets; `limit` at most on each."""

    url: str
    filings: str
    begin: int
    end: int
    sockets: int
    limit: int
    first_address: int = 1

    def write(self, path: Path) -> None:
        """Writes it to a file, for `read`."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """The job of a file."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def write_filings(path: Path, filings: list[bytes]) -> None:
    """Submissions as a file, for `read_filings`."""
    with path.open("wb") as file:
        for one in filings:
            file.write(len(one).to_bytes(4, "big") + one)


def read_filings(path: Path) -> list[bytes]:
    """The submissions in a file."""
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : end])
        at = end
    return found


class _Socket:
    """One citizen's, or kiosk's, connection."""

    __slots__ = ("door", "fd", "out", "sock", "waiting")

    def __init__(self, url: str, address: int) -> None:
        parts = urlsplit(url)
        self.door: Door = PlayDoor(url) if parts.scheme == "ws" else HttpDoor(url)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.bind((f"127.{1 + (address >> 16)}.{address >> 8 & 255}.{address & 255}", 0))
        problem = self.sock.connect_ex((parts.hostname, parts.port))
        if problem not in (0, errno.EINPROGRESS):
            raise OSError(problem, f"cannot connect to {url}")
        self.fd = self.sock.fileno()
        self.out = self.door.opening
        self.waiting = 0


class _Citizens:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._filings = read_filings(Path(job.filings))[job.begin : job.end]
        self._next = 0
        self._since_s: dict[int, float] = {}
        self._epoll = select.epoll()
        self._sockets = [_Socket(job.url, job.first_address + at) for at in range(job.sockets)]
        self._by_fd = {one.fd: one for one in self._sockets}
        for one in self._sockets:
            self._epoll.register(one.fd, IN | OUT)
        self._free = deque(self._sockets)
        self._heard_s = time.monotonic()
        self.reasons: Counter[str] = Counter()
        self.waited_ms: list[float] = []
        self.kept: list[tuple[int, str]] = []
        self.sizes: set[int] = set()  # of the checkpoints in the receipts

    def open(self) -> None:
        """Until every socket may be filed on."""
        while not all(one.door.open for one in self._sockets):
            self._turn(POLL_S)

    def full(self) -> None:
        """Files all, with as many under way as there may be."""
        for one in self._sockets:
            for _ in range(self._job.limit):
                self._file(one, time.monotonic())
        while self._since_s:
            for one in self._turn(POLL_S):
                self._file(one, time.monotonic())

    def paced(self, rate: float) -> None:
        """Files all, one every 1 / rate seconds."""
        begun_s, count = time.monotonic(), len(self._filings)
        while self._next < count or self._since_s:
            now_s = time.monotonic()
            while self._next < count and (due_s := begun_s + self._next / rate) <= now_s:
                at = next((at for at, one in enumerate(self._free) if one.waiting < self._job.limit), None)
                if at is None:
                    break  # all that may be under way are; whoever is due waits, and it counts
                self._free.rotate(-at - 1)
                self._file(self._free[-1], due_s)
            next_s = begun_s + self._next / rate if self._next < count else now_s + POLL_S
            self._turn(min(POLL_S, max(0.0, next_s - time.monotonic())))

    def _file(self, one: _Socket, since_s: float) -> None:
        if self._next == len(self._filings):
            return
        n, self._next = self._next, self._next + 1
        self._since_s[n] = since_s
        one.waiting += 1
        data = one.door.request(n, self._filings[n])
        if not one.out:
            try:
                data = data[one.sock.send(data) :]
            except BlockingIOError:
                self.reasons["socket-full"] += 1
        if data:
            one.out += data
            self._epoll.modify(one.fd, IN | OUT)

    def _turn(self, wait_s: float) -> list[_Socket]:
        """What has come meanwhile; the socket of each answer."""
        answered = []
        for fd, mask in self._epoll.poll(wait_s):
            one = self._by_fd[fd]
            if mask & OUT:
                one.out = one.out[one.sock.send(one.out) :] if one.out else b""
                if not one.out:
                    self._epoll.modify(fd, IN)
            if mask & ~OUT:
                data = one.sock.recv(READ_BYTES)
                if not data:
                    raise OSError(errno.ECONNRESET, "the node has closed a socket")
                for answer in one.door.feed(data):
                    self._answered(one, answer)
                    answered.append(one)
        now_s = time.monotonic()
        if answered or not self._since_s:
            self._heard_s = now_s
        elif now_s > self._heard_s + STALLED_S:
            raise OSError(errno.ETIMEDOUT, f"{len(self._since_s)} filings have no answer")
        return answered

    def _answered(self, one: _Socket, answer: Answer) -> None:
        one.waiting -= 1
        waited_s = time.monotonic() - self._since_s.pop(answer.n)
        if not answer.receipt:
            self.reasons[answer.reason] += 1
            return
        self.waited_ms.append(waited_s * 1_000)
        _, _, note = answer.receipt.partition(b"\n\n")
        self.sizes.add(int(note.split(b"\n", 2)[1]))
        if answer.n % (len(self._filings) // KEPT + 1) == 0:
            self.kept.append((self._job.begin + answer.n, answer.receipt.decode()))


def main(path: Path) -> None:
    """The whole of it."""
    citizens = _Citizens(Job.read(path))
    citizens.open()
    print("ready", flush=True)
    way, _, rate = sys.stdin.readline().strip().partition(" ")
    begun_s, cpu_s = time.monotonic(), time.process_time()
    if way == "paced":
        citizens.paced(float(rate))
    else:
        citizens.full()
    told: dict[str, Any] = {
        "seconds": time.monotonic() - begun_s,
        "cpu_s": time.process_time() - cpu_s,
        "reasons": citizens.reasons,
        "checkpoints": sorted(citizens.sizes),
        "waited_ms": [round(waited, 2) for waited in citizens.waited_ms],
        "receipts": citizens.kept,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
