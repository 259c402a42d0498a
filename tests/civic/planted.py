"""Words that were planted, looked for in bytes in every way somebody could have written them there."""

from __future__ import annotations

import base64
import json
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["ENCODINGS", "found_in", "raw_spellings", "spellings"]

ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "euc-kr", "cp949", "johab")


def spellings(word: str) -> dict[str, bytes]:
    """What would have to be in a file if the word was, by the way it is written."""
    found: dict[str, bytes] = {}
    texts = {"": word, "reversed ": word[::-1], "upper ": word.upper(), "lower ": word.lower()}
    texts["decomposed "] = unicodedata.normalize("NFD", word)
    for how, text in texts.items():
        for encoding in ENCODINGS:
            try:
                found |= {f"{how}{encoding}{as_}": data for as_, data in _written(text.encode(encoding))}
            except UnicodeEncodeError:
                continue
        found[f"{how}JSON"] = json.dumps(text)[1:-1].encode()
        found[f"{how}JSON, upper"] = json.dumps(text)[1:-1].upper().replace("\\U", "\\u").encode()
        found[f"{how}entities"] = "".join(f"&#{ord(char)};" for char in text).encode()
    return found


def raw_spellings(data: bytes) -> dict[str, bytes]:
    """The same for bytes that are no text, such as a key."""
    return dict(_written(data))


def _written(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "", data
    yield " backwards", data[::-1]
    yield " hex", data.hex().encode()
    yield " HEX", data.hex().upper().encode()
    yield " URL", quote_from_bytes(data, safe="").encode()
    yield " URL, all", "".join(f"%{byte:02X}" for byte in data).encode()
    yield " URL, all, lower", "".join(f"%{byte:02x}" for byte in data).encode()
    yield " repr", repr(data)[2:-1].encode()
    for before in range(3):  # how many bytes of something else share its first group of three
        text = base64.b64encode(bytes(before) + data).rstrip(b"=")
        first, cut = -(-before * 8 // 6), (before + len(data)) % 3 != 0
        middle = text[first : len(text) - cut]
        if len(middle) >= 6:
            yield f" base64 at {before}", middle
            yield f" base64url at {before}", middle.replace(b"+", b"-").replace(b"/", b"_")
            yield f" base32 at {before}", base64.b32encode(data)[: len(data) * 8 // 5]


def found_in(paths: Iterable[Path], needles: dict[str, bytes]) -> list[str]:
    """Which of these are in which of these files, or in a file's name."""
    found = []
    for path in paths:
        try:
            data = path.read_bytes() + b"\0" + str(path.name).encode()
        except FileNotFoundError:  # a running node has made it something else
            continue
        found += [f"{how} in {path.name}" for how, needle in needles.items() if needle in data]
    return found
