"""A node that wants to do harm with what is filed at it: `python -m tests.civic.hostile_relay --config FILE`.

It swallows, alters what it passes on, makes up refusals, and alters the receipts it brings back, one after the other.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING

from p2pworld.civic import relay
from p2pworld.errors import Refusal
from p2pworld.messages import CivicFile, ToPeer
from p2pworld.world.outbox import Outbox

if TYPE_CHECKING:
    from p2pworld.civic.relay import Answered

HARM = ("swallow", "alter", "refuse", "spoil")


class HostileOutbox(Outbox):
    """Where what it passes on is spoiled."""


class HostileRelay(relay.Relay):
    """Does each kind of harm in turn."""

    def __init__(self, out: Outbox) -> None:
        super().__init__(out)
        self.harm = cycle(HARM)
        self.doing = ""

    def _take(self, origin: object, data: bytes, now_s: float) -> None:
        self.doing = next(self.harm)
        self.counters[f"harm-{self.doing}"] += 1
        if self.doing == "swallow":
            return
        if self.doing == "refuse":
            self._answer(origin, relay.Answered(refusal=Refusal("civic-type", "made up")))
            return
        before = len(self._out.sends)
        super()._take(origin, data, now_s)  # type: ignore[arg-type]
        if self.doing == "alter":
            for at, send in enumerate(self._out.sends[before:], before):
                if isinstance(send, ToPeer) and isinstance(send.message, CivicFile):
                    spoiled = send.message.submission.replace(b"parks", b"trees")
                    self._out.sends[at] = replace(send, message=replace(send.message, submission=spoiled))

    def _answer(self, origin: object, answer: Answered) -> None:
        if self.doing == "spoil" and answer.receipt:
            spoiled = answer.receipt.replace(b"\nindex ", b"\nindex 1", 1)
            answer = replace(answer, receipt=spoiled)
        super()._answer(origin, answer)  # type: ignore[arg-type]


def main() -> None:
    """Runs the node."""
    from p2pworld.core import parts

    setattr(parts, "Relay", HostileRelay)  # noqa: B010
    from shard_node.cli import main as command

    command(args=["node", *sys.argv[1:]], prog_name="p2pworld")


if __name__ == "__main__":
    main()
