"""The keys that the city's log signs with now, for whoever knows only one that it signed with before.

The city's log announces its own keys like those of any other, each time by somebody to whom a root key has granted that
(decision 0014). So its first key is enough to find all later ones: they are looked for in the log itself, and then the
log is verified with them like with a key that was given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from client.follow import fetch_bundle
from p2pworld.civic.announce import CITY, KeyHistory
from p2pworld.errors import RemoteError
from p2pworld.limits import NOTE_BYTES_MAX
from p2pworld.merkle.checkpoint import Checkpoint, open_checkpoint
from p2pworld.merkle.note import parse_note
from p2pworld.merkle.tiles import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from client.policy import Policy

__all__ = ["with_later_keys"]

_CHECKPOINT: Final = "checkpoint"


def with_later_keys(
    policy: Policy, fetch: Callable[[str, int], bytes | None], roots: Collection[bytes]
) -> Policy:
    """The policy; if none of its keys signed the log's newest checkpoint, with those that count for that one too.

    They count if they are announced in the log that `fetch` reads, where one of the policy's was announced before.
    Nothing else of that log is believed here; it is for the caller to verify it under what comes out.

    Raises:
        RemoteError: a checkpoint or a bundle that is none (`parse_note`, `Checkpoint.parse`, `fetch_bundle`).
        OSError: it cannot be read.
    """
    data = fetch(_CHECKPOINT, NOTE_BYTES_MAX)
    if data is None:
        return policy
    note = parse_note(data)
    checkpoint = Checkpoint.parse(note.text)
    origin, size = checkpoint.origin, checkpoint.size
    known = policy.logs.get(origin, ())
    try:
        open_checkpoint(note, origin, known)
    except RemoteError as error:
        if not known or error.reason != "note-unsigned":
            return policy
    else:
        return policy
    history = KeyHistory(roots)
    for number in range(-(-size // TILE_WIDTH)):
        for entry in fetch_bundle(fetch, number, size):
            history.take(entry)
    counts = history.at(CITY, size)
    announced = {key for one in history.streams.get(CITY, ()) for key in one.announcement.keys}
    if counts is None or announced.isdisjoint(known):
        return policy
    later = tuple(key for key in counts.announcement.keys if key.name == origin)
    return replace(policy, logs=policy.logs | {origin: (*known, *later)})
