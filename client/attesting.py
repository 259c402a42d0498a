"""Asks an attestor, as a person's device or as an official: what is signed, sent, and believed of the answers.

A claim that comes back is looked at before it is kept: it must be signed by the attestor's key, for this purpose, on
this key. So an attestor that is somebody else gives nothing that a log's holder would take for it.
"""

from __future__ import annotations

import json
import secrets
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import LocalError, RemoteError
from p2pworld.services.attesting import (
    challenge_of,
    claims_statement,
    desk_statement,
    device_statement,
    devices_statement,
    key_statement,
    lost_statement,
)
from p2pworld.services.people import claim_key_seed, parse_claim
from shard_node.errors import ConfigError
from shard_node.http_client import LOST, fetch, parse_web_url, why

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from p2pworld.services.people import Claim

__all__ = ["Attestor", "attest_seen"]

ASK_S: Final = 30.0
ANSWER_BYTES_MAX: Final = 1 << 16
_HEX_KEY_BYTES: Final = 32


def _now_minute() -> int:
    return int(time.time()) // 60


@dataclass(frozen=True, slots=True)
class Attestor:
    """One attestor, by its address and its key."""

    url: str
    key: bytes

    @classmethod
    def at(cls, url: str) -> Attestor:
        """The attestor that answers there.

        Raises:
            ConfigError: none does.
        """
        told = _ask(url, "/attestor")
        key = _bytes(told.get("key"))
        if len(key) != _HEX_KEY_BYTES:
            raise ConfigError(f"{url} is no attestor.")
        return cls(url.rstrip("/"), key)

    def begin(self, device: Signer) -> tuple[str, str]:
        """Where to log in, and the verifier that is shown with the code that is given there. Raises ConfigError."""
        verifier = secrets.token_urlsafe(48)
        asked = {"device": device.public.hex(), "challenge": challenge_of(verifier)}
        return str(_ask(self.url, "/begin", asked).get("url")), verifier

    def register(self, device: Signer, code: str, verifier: str, certificate: str | None) -> dict[str, Any]:
        """Has a device registered with a code; until when (minute), and the gu. Raises ConfigError."""
        minute = _now_minute()
        sig = device.sign(device_statement(self.key, code, device.public, minute))
        asked = {
            "code": code,
            "device": device.public.hex(),
            "certificate": certificate,
            "minute": minute,
            "sig": sig.hex(),
        }
        return _ask(self.url, "/device", asked | ({"verifier": verifier} if verifier else {}))

    def claims(self, device: Signer, purposes: Sequence[str]) -> list[Claim]:
        """A claim for each purpose, on the key that this device has for it. Raises ConfigError."""
        minute = _now_minute()
        keys = [Signer.from_seed(claim_key_seed(device.seed, purpose)) for purpose in purposes]
        pairs = [(purpose, key.public) for purpose, key in zip(purposes, keys, strict=True)]
        wants = [
            {
                "purpose": purpose,
                "key": key.public.hex(),
                "sig": key.sign(key_statement(self.key, device.public, purpose)).hex(),
            }
            for purpose, key in zip(purposes, keys, strict=True)
        ]
        sig = device.sign(claims_statement(self.key, device.public, minute, pairs))
        asked = {"device": device.public.hex(), "minute": minute, "wants": wants, "sig": sig.hex()}
        given = _ask(self.url, "/claims", asked).get("claims")
        texts = given if isinstance(given, list) else []
        try:
            claims = [parse_claim(_bytes(text)) for text in texts]
        except RemoteError as error:
            raise ConfigError(f"{self.url} answers with a claim that cannot be read: {error}.") from None
        if [(claim.purpose, claim.key) for claim in claims] != pairs or not all(map(self._signed, claims)):
            raise ConfigError(
                f"{self.url} answers with claims that are not its own, or not what was asked for."
            )
        return claims

    def devices(self, device: Signer) -> list[dict[str, Any]]:
        """The devices of whoever has this one. Raises ConfigError."""
        minute = _now_minute()
        sig = device.sign(devices_statement(self.key, device.public, minute))
        asked = {"device": device.public.hex(), "minute": minute, "sig": sig.hex()}
        found = _ask(self.url, "/devices", asked).get("devices")
        return found if isinstance(found, list) else []

    def lose(self, device: Signer, lost: bytes) -> None:
        """Says that another device of the same person is lost. Raises ConfigError."""
        minute = _now_minute()
        sig = device.sign(lost_statement(self.key, device.public, lost, minute))
        asked = {"device": device.public.hex(), "lost": lost.hex(), "minute": minute, "sig": sig.hex()}
        _ask(self.url, "/lost", asked)

    def lose_by_root(self, statement: str) -> None:
        """Says so by the root's word. Raises ConfigError."""
        _ask(self.url, "/lost", {"statement": statement})

    def _signed(self, claim: Claim) -> bool:
        return claim.attestor == self.key and verify(self.key, claim.statement(), claim.sig)


def attest_seen(url: str, key_path: Path, grants_path: Path, number: str, gu: str) -> str:
    """The code for somebody whom an official has seen.

    Raises ConfigError.
    """
    try:
        official = Signer.from_text(key_path.read_text("utf-8"))
        lines = grants_path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError, LocalError) as error:
        raise ConfigError(f"The official's key and grants cannot be read: {error}.") from None
    attestor, minute = Attestor.at(url), _now_minute()
    sig = official.sign(desk_statement(attestor.key, official.public, number, gu, minute))
    asked = {
        "official": official.public.hex(),
        "grants": [line for line in lines if line.strip() and not line.startswith("#")],
        "number": number,
        "gu": gu,
        "minute": minute,
        "sig": sig.hex(),
    }
    return str(_ask(url, "/desk/attest", asked).get("code"))


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _ask(url: str, path: str, fields: object = None) -> dict[str, Any]:
    """The JSON object that is answered there. Raises ConfigError: with the attestor's sentence, if it has one."""
    body = json.dumps(fields).encode() if fields is not None else b""
    method = "POST" if fields is not None else "GET"

    async def ask() -> tuple[int, bytes]:
        with trio.fail_after(ASK_S):
            answer = await fetch(
                url.rstrip("/") + path,
                ssl.create_default_context(),
                method,
                body,
                [(b"content-type", b"application/json")] if body else [],
                bytes_max=ANSWER_BYTES_MAX,
            )
        return answer.status, answer.body

    try:
        parse_web_url(url)
        status, answer = trio.run(ask)
        told = json.loads(answer)
    except LOST as error:
        raise ConfigError(f"{url} does not answer: {why(error)}.") from None
    except (LocalError, RemoteError, ValueError, RecursionError) as error:
        raise ConfigError(f"{url} does not answer as an attestor does: {error}.") from None
    if not isinstance(told, dict):
        raise ConfigError(f"{url} does not answer as an attestor does.")
    if status != 200:
        sentence = told.get("sentence")
        said = sentence.get("en") if isinstance(sentence, dict) else None
        raise ConfigError(f"{said or 'It was refused.'} ({told.get('reason', status)})")
    return told
