"""The client's side of an office: reading a queue and its cases from the nodes of a city, and opening what is sealed.

What everybody may read comes from any node. An entry that is to be opened is taken from the log itself: the node shows
its receipt, and only an entry that this proves to be in the log is believed. What is sealed with it the holder gives to
those who may read it; the key to it is the office's, or was passed on in a letter of the office that had the case
before (`p2pworld.services.letters`). No secret leaves this machine.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import trio

from p2pworld.civic.transaction import Private, blob_key, open_locked, parse_leaf, parse_sealed
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public, unlock
from p2pworld.errors import LocalError, RemoteError
from p2pworld.grants import Grant, grant_to_text
from p2pworld.limits import (
    ATTACHMENT_BYTES_MAX,
    CIVIC_SUBMISSION_BYTES_MAX,
    LOG_ENTRY_BYTES_MAX,
    RECEIPT_BYTES_MAX,
)
from p2pworld.merkle.checkpoint import Checkpoint, open_checkpoint
from p2pworld.merkle.proof import check_inclusion
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.merkle.tiles import ENTRIES, TILE_WIDTH, Tile, decode_bundle
from p2pworld.merkle.tree import leaf_hash
from p2pworld.services.attaching import attachment_key, attachment_owner
from p2pworld.services.letters import (
    KEYS,
    LANGUAGE,
    TEXT,
    file_act,
    file_letter,
    grants_paper,
    keys_of,
    keys_text,
    reply_key_of,
)
from p2pworld.services.reading import ask_to_read
from shard_node.http_client import LOST, fetch, why

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from client.filing import Trust
    from p2pworld.civic.transaction import Leaf, Sealed, Secrets, Submission
    from p2pworld.services.letters import Intent

__all__ = ["Letter", "Office", "Official", "Unreadable", "compose"]

ASK_S: Final = 15.0
ANSWER_BYTES_MAX: Final = 1 << 22  # a queue of a thousand cases with all that was done with them
LOOK_S: Final = 0.2
LOOKS_MAX: Final = 25
REDIRECTS: Final = 3  # to the holder, which may just have changed


class Unreadable(Exception):
    """No node has answered with what was asked for; the text says what each of them did."""


@dataclass(frozen=True, slots=True)
class Official:
    """Who acts: the signing key and its grants, and the office's sealing secret if it is at hand."""

    signer: Signer
    grants: tuple[Grant, ...]
    secret: bytes | None = None

    @property
    def reads_with(self) -> bytes | None:
        """The sealing key of the office, which this official's own letters are sealed for too."""
        return None if self.secret is None else sealing_public(self.secret)


@dataclass(frozen=True, slots=True)
class Letter:
    """What was sealed with an entry: who wrote it and what, and the key it was opened with; or why it stays shut."""

    entry: int
    private: Private | None
    key: bytes | None = None
    shut: str = ""
    erased: bool = False

    @property
    def fields(self) -> dict[str, str]:
        """The sealed fields by name; none if it stays shut."""
        return {field.name: field.value for field in self.private.fields} if self.private else {}


def compose(
    intent: Intent,
    official: Official,
    letters: Sequence[Letter],
    said: str,
    language: str,
    to: Sequence[bytes],
    minute: int,
    secrets: Secrets,
) -> Submission:
    """The submission of an official's act, with a letter if something is `said` or it passes the case on `to` an
    office with these sealing keys; `letters` is the case as it was opened.

    Raises:
        LocalError: there is a letter and the filing does not open here, so that its writer could not be answered; or
            it is longer than can be sealed.
    """
    if not said and not to:
        act = file_act(intent, minute, official.signer, secrets.seed)
        return replace(act, papers=(grants_paper(official.grants),))
    own = official.reads_with
    if own is None or not letters:
        raise LocalError("a letter is sealed for the office too: give the office's secret")
    if letters[0].shut and not letters[0].erased:
        raise LocalError(f"the citizen could not read it: the filing does not open here ({letters[0].shut})")
    reply = reply_key_of(letters[0].fields)
    private = {TEXT: said, LANGUAGE: language}
    if to:
        shut = [str(letter.entry) for letter in letters if letter.key is None]
        if shut:
            raise LocalError(f"entries {', '.join(shut)} do not open here, and so cannot be passed on")
        private[KEYS] = keys_text({letter.entry: letter.key for letter in letters if letter.key})
    readers = tuple(dict.fromkeys((own, *to, *([reply] if reply else []))))
    signer = official.signer
    letter = file_letter(intent, minute, signer, signer, private, readers, secrets)
    return replace(letter, papers=(grants_paper(official.grants),))


class Office:
    """The nodes of a city, as somebody at a desk asks them; `told` hears what each of them did wrong."""

    def __init__(
        self,
        urls: Sequence[str],
        trust: Trust,
        tls: ssl.SSLContext,
        now_minute: Callable[[], int],
        told: Callable[[str, str], None] = lambda url, sentence: None,
    ) -> None:
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._trust, self._tls, self._now_minute, self._told = trust, tls, now_minute, told

    # ---- what everybody may read

    async def document(self, path: str) -> dict[str, Any]:
        """The JSON document at a path of any node's web face.

        Raises:
            Unreadable: no node has it.
        """
        try:
            found = json.loads(await self._ask(path, ANSWER_BYTES_MAX))
        except (ValueError, RecursionError):  # nested too deeply, on purpose
            raise Unreadable(f"what is at {path} is no JSON") from None
        if not isinstance(found, dict):
            raise Unreadable(f"what is at {path} is not what is asked for")
        return found

    async def case(self, stream: str, entry: int) -> dict[str, Any]:
        """What everybody may see of a case.

        Raises:
            Unreadable: no node knows of it.
        """
        return await self.document(f"/api/v1/cases/{stream}/{entry}")

    async def until_seen(self, stream: str, entry: int, seen: int) -> None:
        """Returns when a node shows more than so many acts on a case, or after a few seconds: whoever acts next has
        then seen what was done, unless nodes are slow to read the log."""
        for _ in range(LOOKS_MAX):
            if (await self.case(stream, entry))["seen"] > seen:
                return
            await trio.sleep(LOOK_S)

    async def leaf(self, stream: str, entry: int) -> Leaf:
        """The leaf of an entry, proven to be in the log.

        Raises:
            Unreadable: no node shows it, or what they show does not hold.
        """
        receipt_data = await self._ask(f"/civic/receipt/{stream}/{entry}", RECEIPT_BYTES_MAX)
        try:
            receipt = parse_receipt(receipt_data)
            size = Checkpoint.parse(receipt.checkpoint.text).size
            first = entry - entry % TILE_WIDTH
            if receipt.index != entry or entry >= size:
                raise RemoteError("receipt-index", "the receipt is for another entry")
            tile = Tile(ENTRIES, first // TILE_WIDTH, min(size - first, TILE_WIDTH))
            bundle = await self._ask(f"/log/{stream}/{tile.path}", tile.width * (LOG_ENTRY_BYTES_MAX + 2))
            data = decode_bundle(tile, bundle)[entry - first]
            policy = self._trust.policy(stream, size)
            [(origin, keys)] = policy.logs.items()
            root = open_checkpoint(receipt.checkpoint, origin, keys, policy.witnesses).checkpoint.root
            check_inclusion(leaf_hash(data), entry, size, receipt.proof, root)
            return parse_leaf(data)
        except (RemoteError, LocalError) as error:
            raise Unreadable(f"entry {entry} of {stream} is shown, and not proven: {error}") from None

    # ---- what is sealed

    async def open_case(self, official: Official, case: Mapping[str, Any]) -> list[Letter]:
        """What was sealed with the filing of a case and with each letter about it, in their order.

        Raises:
            Unreadable: the log cannot be read.
        """
        stream = case["stream"]
        erased = {case["entry"]: case["erased"]} | {act["entry"]: act["erased"] for act in case["acts"]}
        entries = [case["entry"], *(act["entry"] for act in case["acts"] if act["letter"])]
        keys: dict[int, bytes] = {}
        letters = []
        for entry in reversed(entries):  # what passes keys on comes after what they open
            if erased[entry]:
                letter = Letter(entry, None, shut="it was erased", erased=True)
            else:
                letter = await self._open(official, stream, entry, keys.get(entry))
            letters.append(letter)
            if KEYS in letter.fields:
                try:
                    keys |= keys_of(letter.fields[KEYS])
                except RemoteError as error:
                    self._told(stream, f"has letter {entry}, which passes on no keys: {error}")
        return letters[::-1]

    async def attached(self, stream: str, key: bytes, digest: bytes) -> bytes:
        """The file of this SHA-256 that was attached to what this blob key opens.

        Raises:
            Unreadable: no node has it, or it is not that file.
        """
        name = attachment_owner(key, digest).public.hex()
        locked = await self._ask(f"/civic/attachment/{stream}/{name}", ATTACHMENT_BYTES_MAX)
        try:
            file = unlock(attachment_key(key, digest), locked)
        except RemoteError as error:
            raise Unreadable(f"what is kept as the file does not unlock: {error}") from None
        if hashlib.sha256(file).digest() != digest:
            raise Unreadable("what is kept as the file is another one")
        return file

    async def _open(self, official: Official, stream: str, entry: int, key: bytes | None) -> Letter:
        leaf = await self.leaf(stream, entry)
        try:
            sealed = await self._sealed(official, stream, entry)
            if key is None:
                if official.secret is None:
                    return Letter(entry, None, shut="the office's sealing secret is not at hand")
                key = blob_key(sealed, official.secret)
            return Letter(entry, open_locked(leaf.filing, sealed, key), key)
        except Unreadable as error:
            return Letter(entry, None, shut=str(error))
        except RemoteError as error:
            return Letter(entry, None, shut=f"it does not open: {error}")

    async def _sealed(self, official: Official, stream: str, entry: int) -> Sealed:
        grants = "\n".join(map(grant_to_text, official.grants))
        asked = ask_to_read(official.signer, stream, entry, self._now_minute(), grants)
        data = await self._ask(f"/civic/sealed/{stream}/{entry}", CIVIC_SUBMISSION_BYTES_MAX, asked.to_json())
        return parse_sealed(data)

    # ---- one node after another

    async def _ask(self, path: str, bytes_max: int, body: bytes = b"") -> bytes:
        faults = []
        for url in self._urls:
            answer = await self._ask_one(url, path, bytes_max, body)
            if isinstance(answer, bytes):
                return answer
            faults.append(f"{url} {answer}")
            self._told(url, answer)
        raise Unreadable("; ".join(faults))

    async def _ask_one(self, url: str, path: str, bytes_max: int, body: bytes) -> bytes | str:
        """The body of what this node answers, or the one that it sends readers to; or what it did instead."""
        method, headers = ("POST", [_JSON]) if body else ("GET", [])
        where, _, query = (url + path).partition("?")
        try:
            with trio.fail_after(ASK_S):
                for _ in range(REDIRECTS + 1):
                    answer = await fetch(
                        where, self._tls, method, body, headers, bytes_max=bytes_max, query=query
                    )
                    where = answer.headers.get(b"location", b"").decode("latin-1")
                    if answer.status not in (307, 308) or not where:
                        break
        except LOST as error:
            return f"does not answer: {why(error)}"
        except (RemoteError, LocalError) as error:
            return f"answers what cannot be: {error}"
        return answer.body if answer.status == 200 else _said(answer.status, answer.body)


_JSON: Final = (b"content-type", b"application/json")


def _said(status: int, body: bytes) -> str:
    """Why a node does not give it, in its own words if it has any."""
    try:
        told = json.loads(body)
        sentence = told.get("en") or told.get("sentence") or ""
        reason = told.get("reason") or told.get("error") or status
    except (ValueError, AttributeError, RecursionError):
        sentence, reason = "", status
    return f"says: {sentence} ({reason})" if isinstance(sentence, str) and sentence else f"says {reason}"
