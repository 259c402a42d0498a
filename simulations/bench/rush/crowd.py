"""A process of citizens who all want a place at once: each on connections of its own, impatient, and never giving up.

Run with the path of a `Job`. It says `ready` on its standard output, begins at a line on its standard input, and prints
what each citizen was told. A citizen comes at its moment and files what was made for it before. Some click twice: the
same goes out again on another connection while nobody has answered yet. Whoever is sent away for now, cut off or not
answered comes again, a while later. Some of those who were answered ask once more, on another connection, whether they
are told the same. In the `kept` way each has opened its connection some seconds before, as a page does, and asked for
something on it.

One thread, no library between it and the sockets: 400 connections a second take it a tenth of a core, so that what is
measured is the node.
"""

from __future__ import annotations

import errno
import heapq
import json
import random
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from simulations.bench.civic.citizens import read_filings

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Job"]

IN, OUT = select.EPOLLIN, select.EPOLLOUT
READ_BYTES: Final = 65_536
ATTEMPT_S: Final = 15.0  # then it counts as not answered: a node answers within ten
DOUBLE_S: Final = (0.05, 0.4)
AGAIN_S: Final = (0.5, 2.0)  # after what was no answer
ASKED_AGAIN_S: Final = (1.0, 8.0)
BEFORE_S: Final = (2.0, 10.0)  # so long before they come those open a connection who keep it
ASKS: Final = b"GET /civic/streams HTTP/1.1\r\nHost: %s\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Job:
    """Filings `begin` to `end` of a file, one for each citizen, go to `url` within `seconds`.

    `double` of all click twice, `again` ask once more when they have been answered; with `kept` their connections are
    opened some seconds before.
    """

    url: str
    filings: str
    begin: int
    end: int
    seconds: float
    double: float = 0.3
    again: float = 0.2
    kept: bool = False
    patience_s: float = 120.0
    seed: int = 1

    def write(self, path: Path) -> None:
        """Writes it to a file, for `read`."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """The job of a file."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


class _Citizen:
    """One who wants a place: what they were told each time, and when first."""

    __slots__ = ("answers", "came_s", "first_s", "kept", "n", "tries")

    def __init__(self, n: int) -> None:
        self.n = n
        self.came_s = self.first_s = 0.0
        self.tries = 0
        self.answers: list[tuple[int, str]] = []  # status, and the receipt or the refusal as it was sent
        self.kept: _Attempt | None = None


class _Attempt:
    """One connection, and the request on it."""

    __slots__ = ("asks", "citizen", "data", "fd", "number", "out", "sock", "then", "until_s")

    def __init__(self, number: int, citizen: _Citizen, where: tuple[str, int], out: bytes) -> None:
        self.number, self.citizen, self.out = number, citizen, out
        self.data = self.then = b""
        self.asks = False
        self.until_s = 0.0  # 0: nobody waits for anything on it
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        # each citizen from an address of its own, so that ports are never scarce
        n = citizen.n
        self.sock.setsockopt(socket.SOL_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        self.sock.bind((f"127.{2 + (n >> 16)}.{n >> 8 & 255}.{n & 255}", 0))
        self.fd = self.sock.fileno()
        problem = self.sock.connect_ex(where)
        if problem not in (0, errno.EINPROGRESS):
            self.sock.close()
            raise OSError(problem, "cannot connect")


class _Crowd:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._filings = read_filings(Path(job.filings))[job.begin : job.end]
        parts = urlsplit(job.url)
        assert parts.hostname is not None and parts.port is not None  # noqa: PT018 (both of one url)
        self._where = (parts.hostname, parts.port)
        self._host = parts.netloc.encode()
        self._random = random.Random(job.seed)
        self._epoll = select.epoll()
        self._open: dict[int, _Attempt] = {}
        self._numbers = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self.citizens = [_Citizen(n) for n in range(len(self._filings))]
        self.trouble: Counter[str] = Counter()
        self.connections = 0
        self.most_open = 0
        self.silent_s = 0.0  # the longest time in which nobody was answered
        self._heard_s = 0.0
        self._unanswered = len(self.citizens)
        self.kept_used = 0  # filings over connections that were open before

    # ---- the way it goes

    def run(self) -> float:
        """Until all are answered, or out of patience; how many seconds it took."""
        begun_s = self._heard_s = time.monotonic() + (BEFORE_S[1] if self._job.kept else 0.0)
        for citizen in self.citizens:
            citizen.came_s = begun_s + self._random.random() * self._job.seconds
            self._at(citizen.came_s, citizen, self._come)
            if self._job.kept:
                self._at(citizen.came_s - self._random.uniform(*BEFORE_S), citizen, self._look)
        while (self._unanswered or self._due or self._asking()) and (
            time.monotonic() < begun_s + self._job.patience_s
        ):
            now_s = time.monotonic()
            while self._due and self._due[0][0] <= now_s:
                heapq.heappop(self._due)[2]()
            for late in [one for one in self._open.values() if one.until_s and one.until_s < now_s]:
                self._lost(late, "no-answer")
            self._turn(min(0.05, max(0.0, self._due[0][0] - now_s)) if self._due else 0.05)
        return time.monotonic() - begun_s

    def _asking(self) -> bool:
        return any(one.until_s for one in self._open.values())

    def _at(self, when_s: float, citizen: _Citizen, act: Callable[[_Citizen], None]) -> None:
        heapq.heappush(self._due, (when_s, next(self._numbers), lambda: act(citizen)))

    def _look(self, citizen: _Citizen) -> None:
        citizen.kept = self._connect(citizen, ASKS % self._host, asks=True)

    def _come(self, citizen: _Citizen) -> None:
        self._file(citizen)
        if self._random.random() < self._job.double:
            self._at(time.monotonic() + self._random.uniform(*DOUBLE_S), citizen, self._file)

    def _come_again(self, citizen: _Citizen) -> None:
        if not citizen.answers:
            self._file(citizen)

    def _file(self, citizen: _Citizen) -> None:
        filing = self._filings[citizen.n]
        head = b"POST /civic/file HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n" % (self._host, len(filing))
        citizen.tries += 1
        attempt, citizen.kept = citizen.kept, None
        if attempt is not None and attempt.asks:
            attempt.then = head + b"\r\n" + filing  # once it has what it asked for
        elif attempt is not None:
            self._go_on(attempt, head + b"\r\n" + filing)
        else:
            self._connect(citizen, head + b"Connection: close\r\n\r\n" + filing)

    def _go_on(self, attempt: _Attempt, out: bytes) -> None:
        """The filing, on a connection that was open before."""
        self.kept_used += 1
        attempt.out, attempt.data, attempt.asks = out, b"", False
        attempt.until_s = time.monotonic() + ATTEMPT_S
        self._epoll.modify(attempt.fd, IN | OUT)

    # ---- sockets

    def _connect(self, citizen: _Citizen, out: bytes, asks: bool = False) -> _Attempt | None:
        self.connections += 1
        try:
            attempt = _Attempt(next(self._numbers), citizen, self._where, out)
        except OSError as error:
            self.trouble[errno.errorcode.get(error.errno or 0, "connect")] += 1
            if not asks:
                self._later(citizen)
            return None
        attempt.asks = asks
        attempt.until_s = time.monotonic() + ATTEMPT_S
        self._open[attempt.fd] = attempt
        self.most_open = max(self.most_open, len(self._open))
        self._epoll.register(attempt.fd, IN | OUT)
        return attempt

    def _turn(self, wait_s: float) -> None:
        for fd, mask in self._epoll.poll(wait_s):
            attempt = self._open.get(fd)
            if attempt is None:
                continue
            try:
                if mask & OUT:
                    attempt.out = attempt.out[attempt.sock.send(attempt.out) :] if attempt.out else b""
                    if not attempt.out:
                        self._epoll.modify(fd, IN)
                if mask & ~OUT:
                    data = attempt.sock.recv(READ_BYTES)
                    if not data:
                        self._lost(attempt, "cut-off")
                        continue
                    attempt.data += data
                    self._read(attempt)
            except OSError as error:
                self._lost(attempt, errno.errorcode.get(error.errno or 0, "lost"))

    def _read(self, attempt: _Attempt) -> None:
        head, end, body = attempt.data.partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode("ascii", "replace").lower().split("\r\n")
        fields = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(body) < int(fields["content-length"]):
            return
        if attempt.asks:  # and the connection is kept
            attempt.asks, attempt.data, attempt.until_s = False, b"", 0.0
            if attempt.then:
                self._go_on(attempt, attempt.then)
            return
        self._close(attempt)
        self._answered(attempt.citizen, int(first.split(" ")[1]), body.decode())

    def _close(self, attempt: _Attempt) -> None:
        del self._open[attempt.fd]
        self._epoll.unregister(attempt.fd)
        attempt.sock.close()

    def _lost(self, attempt: _Attempt, why: str) -> None:
        self.trouble[why] += 1
        self._close(attempt)
        if attempt.citizen.kept is attempt:  # nothing has been filed on it: it will be on another
            attempt.citizen.kept = None
        else:
            self._later(attempt.citizen)

    # ---- answers

    def _later(self, citizen: _Citizen) -> None:
        self._at(time.monotonic() + self._random.uniform(*AGAIN_S), citizen, self._come_again)

    def _answered(self, citizen: _Citizen, status: int, body: str) -> None:
        now_s = time.monotonic()
        self.silent_s, self._heard_s = max(self.silent_s, now_s - self._heard_s), now_s
        if status == 503:
            self.trouble[str(json.loads(body).get("reason", "503"))] += 1
            self._later(citizen)
            return
        if not citizen.answers:
            citizen.first_s = now_s
            self._unanswered -= 1
            if self._random.random() < self._job.again:
                self._at(now_s + self._random.uniform(*ASKED_AGAIN_S), citizen, self._file)
        citizen.answers.append((status, body))


def main(path: Path) -> None:
    """The whole of it."""
    job = Job.read(path)
    crowd = _Crowd(job)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu_s = time.process_time()
    seconds = crowd.run()
    told: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "cpu_s": round(time.process_time() - cpu_s, 2),
        "trouble": crowd.trouble,
        "connections": crowd.connections,
        "most_open": crowd.most_open,
        "kept_used": crowd.kept_used,
        "silent_s": round(crowd.silent_s, 1),
        "citizens": [
            {
                "n": job.begin + citizen.n,
                "tries": citizen.tries,
                "waited_s": round(citizen.first_s - citizen.came_s, 3) if citizen.answers else None,
                "answers": citizen.answers,
            }
            for citizen in crowd.citizens
        ],
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
