"""Attached files: real ones of each type, files that are not what they are called, and traps."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.services.attachments import UNFOLDED_TIMES_MAX, Broken, check_attachments, type_of
from shard_node.services.folder import read

SERVICE = read().services["road-damage-report"]


def png(width: int = 2, height: int = 2) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    head = struct.pack(">2L5B", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\x00\x00\x00" * 2)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(width: int = 640, height: int = 480) -> bytes:
    app = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\x00" + bytes(9)
    frame = b"\xff\xc0" + struct.pack(">HB2HB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + app + frame + b"\xff\xd9"


def webp() -> bytes:
    body = b"WEBPVP8L" + struct.pack("<L", 4) + b"\x2f\x00\x00\x00"
    return b"RIFF" + struct.pack("<L", len(body)) + body


def archive(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for i, (name, data) in enumerate(members):
            # its date is fixed: the bytes name a test, so they are the same in every process
            entry = zipfile.ZipInfo(name)
            made.writestr(entry, data, zipfile.ZIP_STORED if i == 0 else zipfile.ZIP_DEFLATED)
    return out.getvalue()


DOCX = archive(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w:document/>"))
GOOD = {
    "png": png(),
    "jpeg": jpeg(),
    "webp": webp(),
    "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n",
    "docx": DOCX,
    "xlsx": archive(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")),
    "hwpx": archive(("mimetype", b"application/hwp+zip"), ("Contents/section0.xml", b"<hs:sec/>")),
    "txt": "가로등이 꺼져 있어요.\r\n둘째 줄\n".encode(),
}


@pytest.mark.parametrize("kind", GOOD)
def test_each_type_is_known_by_its_content(kind: str) -> None:
    assert type_of(GOOD[kind]) == kind


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MZ\x90\x00" + bytes(60),
        b"\x7fELF" + bytes(60),
        b"GIF89a" + bytes(20),
        bytes(100),
        "말\u202e거꾸로".encode(),
        "가".encode("cp949"),
        archive(("a.txt", b"hello")),
        archive(("run.exe", b"MZ"), ("word/document.xml", b"")),
    ],
)
def test_what_is_none_of_them_is_none(data: bytes) -> None:
    assert type_of(data) is None


@pytest.mark.parametrize(
    "data",
    [
        png(40_000, 40_000),
        png(0, 5),
        png()[:20],
        jpeg(65_000, 65_000),
        jpeg()[:10],
        b"\xff\xd8\xff\xe0\x00\x10" + bytes(100),
        b"RIFF\xff\xff\xff\x0fWEBPVP8 ",
        b"%PDF-1.7\nand then nothing",
        DOCX[:-30],
        DOCX[:40],
        archive(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", bytes(50_000_000))),
        archive(*[(f"word/{i}.xml", b"") for i in range(2_001)]),
        DOCX.replace(b"PK\x01\x02", b"PK\x01\x03"),
    ],
)
def test_what_ends_too_early_or_is_a_trap_is_broken(data: bytes) -> None:
    with pytest.raises(Broken):
        type_of(data)


def test_a_directory_that_promises_too_much_is_broken() -> None:
    """Each member by itself may be large; together they unfold to so many times the file at most."""
    members = [(f"word/{i}.xml", bytes(300_000)) for i in range(20)]
    data = archive(("[Content_Types].xml", b""), *members)
    assert UNFOLDED_TIMES_MAX * len(data) < 20 * 300_000
    with pytest.raises(Broken):
        type_of(data)


def test_the_files_of_a_field_are_told_by_count_size_type_and_content() -> None:
    field = SERVICE.form.field("photos")
    rules = SERVICE.attachments
    assert field is not None
    assert rules is not None

    def code(*files: bytes) -> str | None:
        fault = check_attachments(field, rules, files)
        return fault.code if fault else None

    assert code() is None
    assert code(png(), jpeg()) is None
    assert code(*[png()] * 6) == "too-many-files"
    assert code(png() + bytes(rules.bytes_max)) == "file-too-large"
    assert code(png(), GOOD["pdf"]) == "file-type"
    assert code(b"MZ\x90\x00" + bytes(60)) == "file-type"
    assert code(png(40_000, 40_000)) == "file-broken"
    fault = check_attachments(field, rules, [b"\x00"])
    assert fault is not None
    assert fault.sentence("ko") == "이 형식의 파일은 받을 수 없어요. 올릴 수 있는 형식: jpeg, png, webp"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_no_bytes_make_it_fail_otherwise(kind: str, data: st.DataObject) -> None:
    good = GOOD[kind]
    at = data.draw(st.integers(0, len(good) - 1))
    broken = good[:at] + data.draw(st.binary(max_size=8)) + good[at + data.draw(st.integers(0, 4)) :]
    with contextlib.suppress(Broken):
        assert type_of(broken) in (*GOOD, None)
