"""What is filed, made by who has read chapter E of docs/protocol.md and knows NaCl: no module of ours is used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nacl.public
import nacl.secret
import nacl.signing

SUGGESTION, ERASED = json.loads(Path(__file__).with_name("civic.json").read_text("utf-8"))


def sized(size: int, *heads: tuple[int, int, int]) -> bytes:
    """The head of a thing of this size: of these (below, first byte, bytes of length) the first that fits."""
    _, first, width = next(head for head in heads if size < head[0])
    return bytes([first]) + size.to_bytes(width, "big") if width else bytes([first | size])


def canonical(value: Any) -> bytes:
    match value:
        case int():
            heads = (
                (128, 0, 0),
                (1 << 8, 0xCC, 1),
                (1 << 16, 0xCD, 2),
                (1 << 32, 0xCE, 4),
                (1 << 64, 0xCF, 8),
            )
            return sized(value, *heads)
        case bytes():
            return sized(len(value), (1 << 8, 0xC4, 1), (1 << 16, 0xC5, 2), (1 << 32, 0xC6, 4)) + value
        case str():
            data = value.encode()
            return sized(len(data), (32, 0xA0, 0), (1 << 8, 0xD9, 1), (1 << 16, 0xDA, 2)) + data
        case list():
            return sized(len(value), (16, 0x90, 0), (1 << 16, 0xDC, 2)) + b"".join(map(canonical, value))
        case dict():
            pairs = sorted(value.items(), key=lambda pair: pair[0].encode())
            head = sized(len(value), (16, 0x80, 0), (1 << 16, 0xDE, 2))
            return head + b"".join(canonical(name) + canonical(each) for name, each in pairs)
    raise TypeError(type(value))


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def fields(said: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in said.items()]


def filed(filing: dict[str, Any], seed: bytes) -> dict[str, Any]:
    statement = b"p2pworld civic filing v1\n" + canonical(filing)
    return {"filing": filing, "sig": nacl.signing.SigningKey(seed).sign(statement).signature}


def test_a_suggestion_is_made_from_its_secrets() -> None:
    told, private = SUGGESTION["leaf"]["filing"], SUGGESTION["sealed"]["private"]
    held = {name: bytes.fromhex(text) for name, text in SUGGESTION["sealed"].items() if name != "private"}
    seed, blob_key, office = held["seed"], held["blob_key"], held["office"]
    key, person = (nacl.signing.SigningKey(each) for each in (seed, held["identity_seed"]))
    filing = {"type": "suggestion", "stream": told["stream"], "key": bytes(key.verify_key)}
    filing |= {"minute": told["minute"], "public": told["public"]}
    said = b"p2pworld civic identity v1\n" + canonical({"filing": filing, "fields": fields(private)})
    plain = {
        "identity": bytes(person.verify_key),
        "fields": fields(private),
        "sig": person.sign(said).signature,
    }
    blob = nacl.secret.SecretBox(blob_key).encrypt(canonical(plain), bytes(24)).ciphertext
    ephemeral = nacl.public.PrivateKey(sha256(b"p2pworld civic wrap v1\n", seed, blob_key, office))
    public = bytes(ephemeral.public_key)
    nonce = hashlib.blake2b(public + office, digest_size=24).digest()
    box = nacl.public.Box(ephemeral, nacl.public.PublicKey(office)).encrypt(blob_key, nonce).ciphertext
    wraps = sha256(b"p2pworld civic wraps v1\n", office, public + box)
    sealed = {"nonce": held["nonce"], "blob": blob, "wraps": [{"office": office, "key": public + box}]}
    filing["sealed"] = sha256(b"p2pworld civic sealed v2\n", held["nonce"], sha256(blob), wraps)
    submission = filed(filing, seed) | {"sealed": sealed | {"filed": wraps}}
    assert canonical(plain) == held["plain"]
    assert canonical(submission).hex() == SUGGESTION["submission"]
    leaf = canonical(
        {"v": 1, "epoch": SUGGESTION["leaf"]["epoch"], "filing": filing, "sig": submission["sig"]}
    )
    assert (leaf.hex(), sha256(b"\0", leaf).hex()) == (SUGGESTION["hex"], SUGGESTION["hash"])


def test_what_asks_for_an_erasure_is_signed_twice() -> None:
    filing = dict(ERASED["leaf"]["filing"])
    key, stream = bytes.fromhex(filing["key"]), filing["stream"]
    index, by, asked = (each["value"] for each in filing["public"])
    said = b"p2pworld civic erasure v1\n" + canonical({"stream": stream, "index": int(index), "key": key})
    nacl.signing.VerifyKey(bytes.fromhex(by)).verify(said, bytes.fromhex(asked))
    open_filing = {name: filing[name] for name in ("type", "stream", "minute", "public")} | {"key": key}
    sig = bytes.fromhex(ERASED["leaf"]["sig"])
    nacl.signing.VerifyKey(key).verify(b"p2pworld civic filing v1\n" + canonical(open_filing), sig)
    assert canonical({"filing": open_filing, "sig": sig}).hex() == ERASED["submission"]
