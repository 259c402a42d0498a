"""A witness's HTTP face (C2SP tlog-witness), over its decisions (`p2pworld.civic.witness`) and its memory.

`POST /add-checkpoint` is the protocol. Beyond it, whoever follows a log asks what this witness saw of it, to compare it
with what the log tells him: `GET /checkpoint/HEX`, the SHA-256 of the log's name, answers with the last checkpoint that
it signed, its signature under it.

A request is decided and stored in a worker thread, one at a time, and answered when it is on the disk. What cannot be
stored is not signed: 503, and the log asks again. A fork is written to the data folder before it is answered.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from p2pworld.civic.witness import Answer, Remember, Witness, checkpoint_path
from p2pworld.limits import (
    WITNESS_BODY_BYTES_MAX,
    WITNESS_BODY_S,
    WITNESS_FORKS_MAX,
    WITNESS_TRIES_MAX,
    WITNESS_WAITING_MAX,
)
from p2pworld.merkle.note import parse_note, parse_signature_lines
from shard_node.witness.memory import MemoryFailed, WitnessMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request

    from p2pworld.civic.fork import Fork

__all__ = ["WitnessDesk", "witness_app"]

log = logging.getLogger(__name__)

_TEXT: Final = "text/plain; charset=utf-8"
_FORKS: Final = "forks"


def _wall_s() -> int:
    return time.time_ns() // 1_000_000_000


class WitnessDesk:
    """Decides, stores, then answers. Its methods block; one thread at a time is in them."""

    def __init__(
        self,
        witness: Witness,
        memory: WitnessMemory,
        folder: Path,
        wall_s: Callable[[], int] = _wall_s,
    ) -> None:
        self._witness = witness
        self._memory = memory
        self._forks = folder / _FORKS
        self._wall_s = wall_s
        self.answers: Counter[tuple[int, str]] = Counter()

    def add_checkpoint(self, body: bytes) -> Answer:
        """The answer to this request; if it is 200, what was signed is on the disk."""
        try:
            answer = self._decide(body)
        except MemoryFailed as error:
            log.error("nothing is signed: %s", error)
            answer = Answer(503, b"this witness cannot store anything now\n", reason="witness-memory")
        if answer.fork:
            self._keep(answer.fork)
        self.answers[answer.status, answer.reason] += 1
        return answer

    def _decide(self, body: bytes) -> Answer:
        for _ in range(WITNESS_TRIES_MAX):
            decided = self._witness.add_checkpoint(body, self._memory.latest, self._wall_s())
            if isinstance(decided, Answer):
                return decided
            if self._store(decided):
                return decided.answer
        return Answer(503, b"too many checkpoints of this log came at once\n", reason="witness-race")

    def _store(self, decided: Remember) -> bool:
        return self._memory.remember(decided.origin, decided.before, decided.seen, decided.answer.body)

    def _keep(self, fork: Fork) -> None:
        """Writes the proof, a file for each one, so many of a log."""
        data = fork.to_bytes()
        origin = parse_note(fork.first).text.partition("\n")[0]
        stem = hashlib.sha256(origin.encode()).hexdigest()[:16]
        path = self._forks / f"{stem}-{hashlib.sha256(data).hexdigest()[:16]}.fork"
        log.error("a log has signed two histories: see %s", path)
        try:
            self._forks.mkdir(exist_ok=True)
            if not path.exists() and len(list(self._forks.glob(f"{stem}-*.fork"))) < WITNESS_FORKS_MAX:
                path.write_bytes(data)
        except OSError as error:
            log.error("the proof cannot be written: %s", error)

    def checkpoint(self, name: str) -> bytes | None:
        """The last checkpoint signed of the log whose name hashes to this, with this witness's signature.

        Raises:
            MemoryFailed: it cannot be read.
        """
        for origin in self._memory.origins():
            if checkpoint_path(origin).endswith(name):
                found = self._memory.cosignatures(origin)
                if found:
                    seen, lines = found
                    return parse_note(seen.note).signed(parse_signature_lines(lines)).to_bytes()
        return None


def witness_app(desk: WitnessDesk) -> Starlette:
    """The application over one desk."""
    turn = trio.CapacityLimiter(1)

    async def add_checkpoint(request: Request) -> Response:
        if turn.statistics().tasks_waiting >= WITNESS_WAITING_MAX:
            return PlainTextResponse("too many are waiting\n", 503, {"Retry-After": "1"})
        body = b""
        try:
            with trio.fail_after(WITNESS_BODY_S):
                async for piece in request.stream():
                    body += piece
                    if len(body) > WITNESS_BODY_BYTES_MAX:
                        break  # the answer says that it is too long
        except trio.TooSlowError:
            return PlainTextResponse("the request did not come\n", 408)
        except ClientDisconnect:
            return Response(status_code=400)
        answer = await trio.to_thread.run_sync(desk.add_checkpoint, body, limiter=turn)
        # given as a header, because to a media type of text a character set would be added
        return Response(answer.body, answer.status, {"Content-Type": answer.content_type})

    async def checkpoint(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            found = await trio.to_thread.run_sync(desk.checkpoint, name, limiter=turn)
        except MemoryFailed as error:
            log.error("nothing is told: %s", error)
            return PlainTextResponse("this witness cannot read what it remembers\n", 503)
        if len(name) != 64 or found is None:
            return PlainTextResponse("this witness has signed nothing of such a log\n", 404)
        return Response(found, media_type=_TEXT, headers={"Cache-Control": "no-store"})

    async def metrics(request: Request) -> Response:
        lines = ["# TYPE p2pworld_witness_answers_total counter"]
        for (status, reason), count in sorted(desk.answers.items()):
            lines.append(
                f'p2pworld_witness_answers_total{{status="{status}",reason="{reason or "signed"}"}} {count}'
            )
        return PlainTextResponse("\n".join(lines) + "\n")

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/checkpoint/{name}", checkpoint),
            Route("/metrics", metrics),
        ]
    )
