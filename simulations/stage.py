"""What every demo stands on: how it speaks to whoever watches, who waits for its city, and its people as a process.

A person at a terminal sees a line that changes; elsewhere a plain line is printed now and then.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

from simulations.processes import start_child

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.live import Live

    from simulations.processes import City

__all__ = ["POLL_S", "DemoFailed", "People", "Show", "Wake", "no_more_interrupts", "wait_ready"]

READY_S_MAX: Final = 50.0
PLAIN_EVERY_S: Final = 5.0
POLL_S: Final = 0.25
PEOPLE_END_S: Final = 60.0


class DemoFailed(Exception):
    """The demo cannot go on; the message is what a person reads."""


class Show:
    """What a person sees: a live line on a terminal, a plain line now and then elsewhere."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console, self._live, self._plain_s = console, live, 0.0

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def now(self, text: str) -> None:
        """A line that is replaced by the next."""
        if self._live is not None:
            self._live.update(text)
        elif time.monotonic() - self._plain_s >= PLAIN_EVERY_S:
            self._plain_s = time.monotonic()
            self.say(text)


def wait_ready(city: City, show: Show) -> None:
    """Returns when the city serves all its ground.

    Raises DemoFailed.
    """
    until_s = time.monotonic() + READY_S_MAX
    while waiting := city.not_ready():
        for node in city.dead():
            assert node.process is not None
            raise DemoFailed(f"{node.name} ended with {node.process.returncode}:\n{node.log_tail()}")
        if time.monotonic() > until_s:
            raise DemoFailed(f"the city is not ready after {READY_S_MAX:.0f} s: {waiting}")
        show.now(f"the city is waking up: {waiting}")
        time.sleep(POLL_S)


class Wake:
    """Tells of each node that ended once. One that was killed is part of the show; one that failed is not."""

    def __init__(self, city: City, show: Show) -> None:
        self._city, self._show = city, show
        self._told: set[str] = set()
        self.failed: list[str] = []

    def look(self) -> None:
        for node in self._city.dead():
            assert node.process is not None
            if node.name in self._told:
                continue
            self._told.add(node.name)
            if node.process.returncode in (-signal.SIGKILL, -signal.SIGTERM, 0):
                self._show.say(f"{node.name} was ended; the others carry on")
            else:
                sentence = f"{node.name} failed with {node.process.returncode}:\n{node.log_tail()}"
                self._show.say(sentence)
                self.failed.append(sentence)


class People:
    """The bots as a process of their own: its figures as they come, and the last ones.

    `arguments` start it; it writes a JSON object a line, and takes a line at a time of what `tell` says.
    """

    def __init__(self, city: City, arguments: Sequence[str]) -> None:
        self.log = city.folder / "bots.log"
        with self.log.open("ab") as log:
            self.process = start_child(arguments, subprocess.PIPE, log, stdin=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        self._pipe, self._orders = self.process.stdout, self.process.stdin
        os.set_blocking(self._pipe.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._partial = b""
        self.figures: dict[str, Any] = {}
        self.ended = False

    def tell(self, order: str) -> None:
        """Has it read a line; it may have ended."""
        try:
            self._orders.write(order.encode() + b"\n")
            self._orders.flush()
        except BrokenPipeError:
            self.wait(0.0)

    def wait(self, seconds: float) -> None:
        """Takes in what it reports within so long."""
        if self.ended or not self._selector.select(seconds):
            return
        data = self._pipe.read(1 << 16)
        if data == b"":
            self.ended = True
            self.process.wait()
        *lines, self._partial = (self._partial + (data or b"")).split(b"\n")
        for line in lines:
            self.figures = json.loads(line)

    def raise_if_failed(self) -> None:
        """Raises DemoFailed if it has ended with an error."""
        if self.ended and self.process.returncode:
            text = self.log.read_text(encoding="utf-8", errors="replace").strip()
            raise DemoFailed(f"the bots ended with {self.process.returncode}: {text[-2000:]}")

    def end(self) -> None:
        """Asks it to come to an end, and takes in its last figures."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        until_s = time.monotonic() + PEOPLE_END_S
        while not self.ended and time.monotonic() < until_s:
            self.wait(POLL_S)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._selector.close()
        self._pipe.close()
        self._orders.close()


def no_more_interrupts() -> None:
    """What is under way now is the end itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
