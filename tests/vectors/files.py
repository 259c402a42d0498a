"""Makes file.json: files by their content, whole and spoilt; and what an attachment is called, locked and kept as."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import zipfile
from typing import Any, Final

from p2pworld.services.attaching import attachment_key
from p2pworld.services.attachments import Broken, type_of
from p2pworld.services.sealed_files import paper_of_files, sealed_file
from tests.services.test_attachments import GOOD as SOME
from tests.services.test_attachments import jpeg

__all__ = ["files"]


def png(width: int = 2, height: int = 2) -> bytes:
    """As much of a picture as tells its size."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">L4s2L5BL", 13, b"IHDR", width, height, 8, 0, 0, 0, 0, 0)


def archive(*members: tuple[str, bytes]) -> bytes:
    """A ZIP archive without compression: libraries differ in that, and these bytes are the same everywhere."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        for name, data in members:
            made.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


DOCX: Final = archive(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w:document/>"))
BOMB: Final = DOCX.replace(
    struct.pack("<2L", 13, 13), struct.pack("<2L", 13, 300_000)
)  # unfolds to so much, it says
GOOD: Final = {kind: SOME[kind] for kind in ("jpeg", "webp", "pdf", "txt")} | {
    "png": png(),
    "docx": DOCX,
    "xlsx": archive(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")),
    "hwpx": archive(("mimetype", b"application/hwp+zip"), ("Contents/section0.xml", b"<hs:sec/>")),
}
ODD: Final[tuple[bytes, ...]] = (
    *(
        b"",
        b"MZ\x90\x00" + bytes(60),
        b"GIF89a" + bytes(20),
        bytes(100),
        "말\u202e거꾸로".encode(),
        b"\r",
        b"\xff",
    ),
    *(
        "\ufeff앞에 표시".encode(),
        "가\r\n나".encode(),
        "가\r나".encode(),
        "가".encode("cp949"),
        "줄\u2028".encode(),
    ),
    *(png(40_000, 40_000), png(0, 5), png()[:20], png()[:32], png()[:33], jpeg(65_000, 65_000), jpeg()[:10]),
    *(b"\xff\xd8\xff\xff\xff\xff\xc0\x00\x11\x08\x00\x01\x00\x01", b"\xff\xd8\xff\xe0\x00\x10" + bytes(40)),
    *(b"RIFF\xff\xff\xff\x0fWEBPVP8 ", b"RIFF\x05\x00\x00\x00WEBPx", b"RIFF\x06\x00\x00\x00WEBPx"),
    *(
        b"%PDF-1.7\nand then nothing",
        b"%PDF-%%EOF",
        b"%PDF-1.7 %%EOF" + b" " * 1_019,
        b"%PDF-1.7 %%EOF" + b" " * 1_020,
    ),
    *(
        DOCX[:-30],
        DOCX[:40],
        DOCX + b"PK\x05\x06",
        DOCX + bytes(30),
        DOCX.replace(b"PK\x01\x02", b"PK\x01\x03"),
    ),
    *(archive(("a.txt", b"hello")), archive(("run.exe", b"MZ"), ("word/document.xml", b""))),
    BOMB,
    archive(("[Content_Types].xml", b"<Types/>"), ("word/\ufeff.xml", b"")),
)


def files() -> list[dict[str, Any]]:
    """Files as hex, each with its type, `broken`, or null; then one as an attachment."""
    chance = random.Random(11)
    spoilt = [_spoilt(chance, GOOD[kind]) for kind in sorted(GOOD) for _ in range(8)]
    found = [{"name": kind, "hex": data.hex(), "type": _type(data)} for kind, data in GOOD.items()]
    found += [{"name": f"odd {i}", "hex": data.hex(), "type": _type(data)} for i, data in enumerate(ODD)]
    found += [
        {"name": f"spoilt {i}", "hex": data.hex(), "type": _type(data)} for i, data in enumerate(spoilt)
    ]
    return [*found, _attachment("사진 대신 글".encode())]


def _type(data: bytes) -> str | None:
    try:
        return type_of(data)
    except Broken:
        return "broken"


def _spoilt(chance: random.Random, good: bytes) -> bytes:
    at = chance.randrange(len(good))
    return good[:at] + chance.randbytes(chance.randrange(4)) + good[at + chance.randrange(4) :]


def _attachment(data: bytes) -> dict[str, Any]:
    blob_key, digest = bytes(range(32)), hashlib.sha256(data).digest()
    key = attachment_key(blob_key, digest)
    put, filing_key = sealed_file("jongno", blob_key, data), bytes(range(32, 64))
    return {
        "name": "an attachment",
        "file": data.hex(),
        "hash": digest.hex(),
        "blob_key": blob_key.hex(),
        "key": key.hex(),
        "called": put.name.hex(),
        "locked": put.locked.hex(),
        "put": put.sig.hex(),
        "filing_key": filing_key.hex(),
        "named": paper_of_files(blob_key, [digest], filing_key).data.hex(),
    }
