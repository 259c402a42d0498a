"""Four kinds of failure, each with its own way to travel.

A `LocalError` says that our own caller broke a contract. A `RemoteError` says that a peer or a client broke the
protocol: it ends that connection, with its reason counted. A `Refusal` is not an exception: it is the answer to a
valid request which the rules decline. A broken invariant is an `assert`: the process ends and recovers.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LocalError", "Refusal", "RemoteError"]


class LocalError(Exception):
    """Our caller broke the contract of what it called; the message says which and what to do."""


class RemoteError(Exception):
    """A peer or client broke the protocol; `reason` is a short code to count, the message a sentence."""

    def __init__(self, reason: str, sentence: str = "") -> None:
        super().__init__(sentence or reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """A valid request that the rules decline: `reason` is a code, `sentence` what a citizen reads."""

    reason: str
    sentence: str
