"""What is attached, told by its content: whatever a file is called, it is what its bytes are.

`type_of` knows the eight types that a service may allow, and returns None for all else. Of a picture it reads how many
pixels it has, of a document that is a ZIP archive what its directory says: a few kilobytes that unfold to gigabytes are
`Broken`, like whatever ends too early. Nothing is unfolded here; whoever does so later stops at the sizes that were
checked. A file that is two things at once is the one its first bytes say, and is offered for download as that.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from p2pworld.services.form import FieldFault
from p2pworld.world.text import paragraphs_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pworld.services.declaration import Attachments
    from p2pworld.services.form import FormField

__all__ = ["Broken", "check_attachments", "type_of"]

PIXELS_MAX: Final = 100_000_000  # a picture of 100 megapixels is 400 MB when it is shown
UNFOLDED_BYTES_MAX: Final = 200 << 20
UNFOLDED_TIMES_MAX: Final = 200  # XML is packed to a fiftieth at most, long tables to a hundredth
MEMBERS_MAX: Final = 2_000

_END: Final = struct.Struct("<4s4H2LH")  # end of central directory (APPNOTE.TXT 4.3.16)
_MEMBER: Final = struct.Struct("<4s6H3L5H2L")  # one file's header in it (4.3.12)
_COMMENT_BYTES_MAX: Final = 65_535


class Broken(Exception):
    """A file that begins as one of the types and is none, or is a trap."""


def type_of(data: bytes) -> str | None:
    """`jpeg`, `png`, `webp`, `pdf`, `hwpx`, `docx`, `xlsx` or `txt`; None for whatever else this is.

    Raises:
        Broken: it begins as one of them, and ends too early, or holds far more than a file of its size should.
    """
    if data.startswith(b"\xff\xd8\xff"):
        _check_pixels(*_jpeg_size(data))
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        if len(data) < 33 or data[12:16] != b"IHDR":
            raise Broken
        _check_pixels(*struct.unpack(">2L", data[16:24]))
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        if int.from_bytes(data[4:8], "little") + 8 > len(data) + 1:
            raise Broken
        return "webp"
    if data.startswith(b"%PDF-"):
        if b"%%EOF" not in data[-1_024:]:
            raise Broken
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _document_type(data)
    return "txt" if _is_text(data) else None


def check_attachments(field: FormField, rules: Attachments, files: Sequence[bytes]) -> FieldFault | None:
    """What is wrong with the files of a field, or None."""
    most = int(field.schema.get("maxItems", 1))
    if len(files) > most:
        return FieldFault(field.name, "too-many-files", field.label, str(most))
    for data in files:
        if len(data) > rules.bytes_max:
            return FieldFault(field.name, "file-too-large", field.label, str(rules.bytes_max >> 20))
        try:
            found = type_of(data)
        except Broken:
            return FieldFault(field.name, "file-broken", field.label)
        if found not in rules.types:
            return FieldFault(field.name, "file-type", field.label, ", ".join(rules.types))
    return None


def _check_pixels(width: int, height: int) -> None:
    if not 0 < width * height <= PIXELS_MAX:
        raise Broken


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the frame's header: the first segment that begins a frame (ITU-T T.81, B.2.2)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">2H", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise Broken


def _document_type(data: bytes) -> str | None:
    """Which document a ZIP archive is, by the names of its members."""
    names = _members(data)
    if "[Content_Types].xml" in names and any(name.startswith("word/") for name in names):
        return "docx"
    if "[Content_Types].xml" in names and any(name.startswith("xl/") for name in names):
        return "xlsx"
    # its first member is stored as it is, and says what this is (OWPML, KS X 6101)
    if data[30:38] == b"mimetype" and data[38:57] == b"application/hwp+zip":
        return "hwpx"
    return None


def _members(data: bytes) -> set[str]:
    """The names in the archive's directory, whose sizes are within bounds."""
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - _END.size - _COMMENT_BYTES_MAX))
    if end < 0 or end + _END.size > len(data):
        raise Broken
    _, disk, _, _, count, size, at, _ = _END.unpack_from(data, end)
    if disk or count > MEMBERS_MAX or at + size > end:
        raise Broken
    names: set[str] = set()
    unfolded = 0
    for _ in range(count):
        if at + _MEMBER.size > end:
            raise Broken
        mark, *_, packed, plain, name_bytes, extra_bytes, comment_bytes, _, _, _, where = _MEMBER.unpack_from(
            data, at
        )
        unfolded += plain
        if mark != b"PK\x01\x02" or where + packed > len(data) or 0xFFFFFFFF in (packed, plain, where):
            raise Broken
        at += _MEMBER.size
        names.add(data[at : at + name_bytes].decode("utf-8", "replace"))
        at += name_bytes + extra_bytes + comment_bytes
    if unfolded > min(UNFOLDED_BYTES_MAX, UNFOLDED_TIMES_MAX * len(data)):
        raise Broken
    return names


def _is_text(data: bytes) -> bool:
    """Whether this is UTF-8 text that harms nobody's screen."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return False
    return bool(text) and paragraphs_fault(text, len(text)) is None
