"""Makes case.json: what a citizen and an official do with a filing, as it is filed, from fixed secrets."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from p2pworld.civic.transaction import Field, Filing, Secrets, Submission, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.services.case_log import CASE_TYPES, CaseAct, act_fields, case_act_of
from p2pworld.services.support import Support, file_support, support_purpose

__all__ = ["acts", "support"]

STREAM: Final = "jongno"
MINUTE: Final = 29_400_000
REPLY_NAME: Final = b"p2pworld case reply v1\n"


def _bytes(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


FILED: Final = Secrets(_bytes("filing's seed"), _bytes("filing's blob"), _bytes("filing's nonce"))
OFFICE_SECRET: Final = _bytes("office")


def acts() -> list[dict[str, Any]]:
    """An act of the citizen and of an official, and a letter of each; the official's is for the key of the case too."""
    citizen, official = Signer.from_seed(FILED.seed), Signer.from_seed(_bytes("official"))
    office = sealing_public(OFFICE_SECRET)
    reply = hashlib.sha256(REPLY_NAME + FILED.seed).digest()
    told = {"text": "사진을 한 장 더 보내 주세요.", "language": "ko"}
    answer = {"text": "여기 있어요.", "language": "ko", "where": "정문 앞"}
    keys = {"filed_seed": FILED.seed.hex(), "reply_secret": reply.hex(), "reply": sealing_public(reply).hex()}
    return [
        {"name": "the key of a case", **keys},
        _act("the citizen withdraws", CaseAct(STREAM, 7, 0, "withdraw", 0, _key("withdraw")), citizen),
        _act("an official takes it", CaseAct(STREAM, 7, 0, "assign", 0, _key("assign")), official),
        _letter(
            "an official asks",
            CaseAct(STREAM, 7, 1, "ask", 7, _key("ask")),
            official,
            (official, [office, sealing_public(reply)]),
            told,
        ),
        _letter(
            "the citizen answers",
            CaseAct(STREAM, 7, 2, "supplement", 0, _key("supplement")),
            citizen,
            (Signer.from_seed(_bytes("identity")), [office]),
            answer,
        ),
    ]


def support() -> list[dict[str, Any]]:
    """Support of a proposal: what a claim for it is for, and the submission."""
    seed, person = _bytes("support's seed"), _bytes("a pseudonym")
    filed = file_support("city", Support(12, person.hex()), MINUTE, seed)
    return [
        {
            "name": "support",
            "stream": "city",
            "entry": 12,
            "purpose": support_purpose("city", 12),
            "person": person.hex(),
            "minute": MINUTE,
            "seed": seed.hex(),
            "submission": filed.to_bytes().hex(),
        }
    ]


def _secrets(action: str) -> Secrets:
    return Secrets(*(_bytes(f"{action}'s {part}") for part in ("seed", "blob", "nonce")))


def _key(action: str) -> bytes:
    return Signer.from_seed(_secrets(action).seed).public


def _act(name: str, act: CaseAct, actor: Signer) -> dict[str, Any]:
    signer = Signer.from_seed(_secrets(act.action).seed)
    public = tuple(Field(field, value) for field, value in act_fields(act, actor).items())
    filing = Filing("case-act", act.stream, signer.public, MINUTE, public)
    return _told(name, act, actor, Submission(filing, signer.sign(filing.statement())))


def _letter(
    name: str, act: CaseAct, actor: Signer, sealing: tuple[Signer, list[bytes]], private: dict[str, str]
) -> dict[str, Any]:
    identity, readers = sealing
    public, secrets = act_fields(act, actor), _secrets(act.action)
    letter = CASE_TYPES["case-letter"]
    filed = file_transaction(letter, act.stream, MINUTE, public, private, identity, readers, secrets)
    return _told(name, act, actor, filed) | {
        "private": private,
        "identity_seed": identity.seed.hex(),
        "readers": [reader.hex() for reader in readers],
        "office_secret": OFFICE_SECRET.hex(),
    }


def _told(name: str, act: CaseAct, actor: Signer, filed: Submission) -> dict[str, Any]:
    assert case_act_of(filed.filing) == act
    return {
        "name": name,
        "act": {
            "stream": act.stream,
            "entry": act.entry,
            "seen": act.seen,
            "action": act.action,
            "amount": act.amount,
        },
        "minute": MINUTE,
        "actor_seed": actor.seed.hex(),
        "secrets": _secrets(act.action).to_text(),
        "statement": act.statement().hex(),
        "submission": filed.to_bytes().hex(),
    }
