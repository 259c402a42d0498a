"""Slow twins: trees and proofs exactly as RFC 6962, section 2.1, defines them, and RFC 9162's way to verify them.

Written to be checked by eye against the standards; nothing here imports what it is the twin of.
"""

from __future__ import annotations

import hashlib


def slow_hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def largest_power_below(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def slow_root(entries: list[bytes]) -> bytes:
    """MTH(D[n])."""
    if not entries:
        return slow_hash(b"")
    if len(entries) == 1:
        return slow_hash(b"\x00" + entries[0])
    k = largest_power_below(len(entries))
    return slow_hash(b"\x01" + slow_root(entries[:k]) + slow_root(entries[k:]))


def slow_path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH(m, D[n]), section 2.1.1."""
    if len(entries) == 1:
        return []
    k = largest_power_below(len(entries))
    if m < k:
        return [*slow_path(m, entries[:k]), slow_root(entries[k:])]
    return [*slow_path(m - k, entries[k:]), slow_root(entries[:k])]


def slow_proof(m: int, entries: list[bytes]) -> list[bytes]:
    """PROOF(m, D[n]), section 2.1.2."""
    return slow_subproof(m, entries, True)


def slow_subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b)."""
    n = len(entries)
    if m == n:
        return [] if whole else [slow_root(entries)]
    k = largest_power_below(n)
    if m <= k:
        return [*slow_subproof(m, entries[:k], whole), slow_root(entries[k:])]
    return [*slow_subproof(m - k, entries[k:], False), slow_root(entries[:k])]


def included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = slow_hash(b"\x01" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = slow_hash(b"\x01" + r + p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistent(first: int, first_root: bytes, second: int, second_root: bytes, proof: list[bytes]) -> bool:
    """RFC 9162, section 2.1.4.2, for 0 < first < second."""
    if first & (first - 1) == 0:
        proof = [first_root, *proof]
    if not proof:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = slow_hash(b"\x01" + c + fr), slow_hash(b"\x01" + c + sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = slow_hash(b"\x01" + sr + c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def slow_tiles(entries: list[bytes], width: int = 256) -> dict[str, bytes]:
    """Every file of a log's folder but the checkpoint, for one size."""
    files: dict[str, bytes] = {}
    for start in range(0, len(entries), width):
        bundle = entries[start : start + width]
        data = b"".join(len(entry).to_bytes(2, "big") + entry for entry in bundle)
        files[slow_name("entries", start // width, len(bundle), width)] = data
    level, span = 0, 1
    while len(entries) // span:
        hashes = [slow_root(entries[i * span : (i + 1) * span]) for i in range(len(entries) // span)]
        for start in range(0, len(hashes), width):
            tile = hashes[start : start + width]
            files[slow_name(str(level), start // width, len(tile), width)] = b"".join(tile)
        level, span = level + 1, span * width
    return files


def slow_name(level: str, number: int, held: int, width: int) -> str:
    groups = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{held}" if held < width else "")
