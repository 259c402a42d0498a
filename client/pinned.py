"""Whose signatures a citizen's program believes: keys given by hand, or a list that `p2pworld audit keys` made.

The list is the history of all keys that the city has announced in its own log. For each checkpoint those count that
were announced for its size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from client.policy import Policy, policy_of_keys
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import PINNED_BYTES_MAX
from p2pworld.merkle.note import VerifierKey

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Given", "Pinned", "read_pinned"]

_NOBODY: Final = "no key is known for this log"


@dataclass(frozen=True, slots=True)
class Given:
    """One policy for whatever log it names."""

    keys: Policy

    def policy(self, stream: str, size: int) -> Policy:
        """See `Trust.policy`."""
        for origin, keys in self.keys.logs.items():
            if origin.rpartition("/")[2] == stream:
                return Policy({origin: keys}, self.keys.witnesses, self.keys.quorum)
        raise RemoteError("checkpoint-origin", _NOBODY)


@dataclass(frozen=True, slots=True)
class _Span:
    """What counts from a size on."""

    from_size: int
    policy: Policy
    offices: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pinned:
    """The list: of each stream what counts from which size on, rising."""

    streams: dict[str, tuple[_Span, ...]]

    def policy(self, stream: str, size: int) -> Policy:
        """See `Trust.policy`."""
        found = [span for span in self.streams.get(stream, ()) if span.from_size <= size]
        if not found:
            raise RemoteError("checkpoint-origin", _NOBODY)
        return found[-1].policy

    def offices(self, stream: str) -> tuple[bytes, ...]:
        """The sealing keys of the stream's office, as announced last."""
        spans = self.streams.get(stream, ())
        return spans[-1].offices if spans else ()


def read_pinned(path: Path) -> Pinned:
    """The list in this file.

    Raises:
        LocalError: it is none.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(PINNED_BYTES_MAX + 1)
    try:
        if len(data) > PINNED_BYTES_MAX:
            raise LocalError("it is too long")
        streams = json.loads(data)["streams"]
        return Pinned(
            {str(name): tuple(_span(one) for one in told["history"]) for name, told in streams.items()}
        )
    except (LocalError, RemoteError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LocalError(
            f"{path} is no list of keys, as `p2pworld audit keys --json` makes one: {error}"
        ) from None


def _span(told: dict[str, Any]) -> _Span:
    keys = [VerifierKey.parse(text) for text in (*told["keys"], *told["witnesses"])]
    offices = tuple(bytes.fromhex(text) for text in told["offices"])
    return _Span(int(told["from_size"]), policy_of_keys(keys, int(told["quorum"])), offices)
