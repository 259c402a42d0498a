"""What a leaf says to everybody, in words and as facts: what was filed, for whom, when, and what stays hidden."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from p2pworld.civic.erasure import asked_of

if TYPE_CHECKING:
    from p2pworld.civic.transaction import Filing

__all__ = ["leaf_facts", "leaf_words", "utc_words"]


def utc_words(minute: int) -> str:
    """A minute of Unix time, as people read it."""
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%d %H:%M UTC")


def leaf_facts(filing: Filing) -> dict[str, object]:
    """The public content for programs."""
    return {
        "type": filing.type,
        "stream": filing.stream,
        "minute": filing.minute,
        "key": filing.key.hex(),
        "public": {one.name: one.value for one in filing.public},
        "sealed": filing.sealed.hex(),
        "via": filing.via.hex(),
    }


def leaf_words(filing: Filing) -> str:
    """The public content for people, in one line whatever somebody wrote into it."""
    said = "".join(f", {one.name}: {_plain(one.value)}" for one in filing.public)
    if (asked := asked_of(filing)) is not None:
        said = f", which has entry {asked.index} erased and was asked for with the key {asked.by.hex()[:16]}"
    kind = _plain(filing.type)
    article = "an" if kind[:1] in tuple("aeiou") else "a"
    via = f" A gateway signed for somebody, with the key {filing.via.hex()[:16]}." if filing.via else ""
    sealed = " What only the office can read stands beside it, by its hash." if filing.sealed else ""
    return (
        f"It is {article} {kind} for {_plain(filing.stream)} of {utc_words(filing.minute)}{said}, "
        f"signed with the key {filing.key.hex()[:16]} that was made for it alone.{via}{sealed}"
    )


def _plain(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)[:200]
