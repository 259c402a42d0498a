"""What is said between a person's device, an official and an attestor: the bytes that each signs, and why not.

A device is registered once, with a code that proves who its owner is: one that came back from a login, or one that an
official read aloud after having seen somebody. From then on it asks for claims by its own signature. What a code is for
is bound to the attestor and the device in the signed bytes, so neither can be used anywhere else.

    device   by the device     {attestor, code, device, minute}
    claims   by the device     {attestor, device, minute, wants: [{key, purpose}, ...]}
    key      by a claim's key  {attestor, device, purpose}
    devices  by the device     {attestor, device, minute}
    lost     by the device     {attestor, device, lost, minute}
    desk     by the official   {attestor, gu, minute, number, official}

Each is the canonical map after its name, `"p2pworld attestor NAME v1\\n"`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from p2pworld.civic.reasons import Words
from p2pworld.seoul.gu import GU
from p2pworld.services.facility import GU_SLUGS
from p2pworld.services.form import gu_slug
from p2pworld.wire.codec import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "ATTESTOR_REASONS",
    "CODE_LETTERS",
    "VERIFIER",
    "challenge_of",
    "claims_statement",
    "desk_statement",
    "device_statement",
    "devices_statement",
    "gu_said",
    "key_statement",
    "lost_statement",
    "neat_code",
    "neat_number",
    "subject_of",
]

CODE_LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that is read as another
VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, 4.1
_SUBJECT_NAME: Final = b"p2pworld attestor subject v1\n"
_NOT_A_NUMBER: Final = re.compile(r"[^0-9A-Z]")


def _statement(name: str, **said: object) -> bytes:
    return f"p2pworld attestor {name} v1\n".encode() + canonical(said)


def device_statement(attestor: bytes, code: str, device: bytes, minute: int) -> bytes:
    """What a device signs to be registered with a code."""
    return _statement("device", attestor=attestor, code=neat_code(code), device=device, minute=minute)


def claims_statement(
    attestor: bytes, device: bytes, minute: int, wants: Sequence[tuple[str, bytes]]
) -> bytes:
    """What a device signs to be given claims, for pairs of a purpose and a key."""
    said = [{"key": key, "purpose": purpose} for purpose, key in wants]
    return _statement("claims", attestor=attestor, device=device, minute=minute, wants=said)


def key_statement(attestor: bytes, device: bytes, purpose: str) -> bytes:
    """What a claim's key signs: that it is this device's."""
    return _statement("key", attestor=attestor, device=device, purpose=purpose)


def devices_statement(attestor: bytes, device: bytes, minute: int) -> bytes:
    """What a device signs to be told which devices its person has."""
    return _statement("devices", attestor=attestor, device=device, minute=minute)


def lost_statement(attestor: bytes, device: bytes, lost: bytes, minute: int) -> bytes:
    """What a device signs to say that another of its person's is lost."""
    return _statement("lost", attestor=attestor, device=device, lost=lost, minute=minute)


def desk_statement(attestor: bytes, official: bytes, number: str, gu: str, minute: int) -> bytes:
    """What an official signs who has seen somebody, by the number of what was shown."""
    return _statement(
        "desk", attestor=attestor, gu=gu, minute=minute, number=neat_number(number), official=official
    )


def neat_code(text: str) -> str:
    """A code as it is compared: capitals, nothing between them. What came back from a login is left as it is."""
    short = re.sub(r"[\s-]", "", text)
    return short.upper() if len(short) <= 12 else text


def neat_number(text: str) -> str:
    """The number of a document as it is compared: however it is written, the same."""
    return _NOT_A_NUMBER.sub("", unicodedata.normalize("NFKC", text).upper())


def subject_of(secret: bytes, space: str, value: str) -> bytes:
    """The 32 bytes that stand for somebody at an attestor: `value` is not kept, and not to be had from them."""
    return hmac.new(secret, _SUBJECT_NAME + f"{space}\n{value}".encode(), hashlib.sha256).digest()


def challenge_of(verifier: str) -> str:
    """What is told of a verifier before it is shown (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def gu_said(value: object) -> str:
    """The gu that a provider's claim means: by its name in Korean or English, its legal code, or such as `jongno`."""
    text = str(value).strip()
    if text in GU_SLUGS:
        return text
    return next(
        (gu_slug(gu.name_en) for gu in GU if text in (gu.name_ko, gu.name_en, str(gu.code))),
        "",
    )


ATTESTOR_REASONS: Final[Mapping[str, Words]] = {
    "attestor-busy": Words(
        "Too much is asked of this attestor at the moment. Please try again in a minute.",
        "지금은 확인 요청이 많아요. 1분 뒤에 다시 해 주세요.",
        again=True,
    ),
    "attestor-down": Words(
        "This attestor cannot look anything up at the moment. Please try again shortly.",
        "지금은 확인 기관의 기록을 볼 수 없어요. 잠시 뒤에 다시 해 주세요.",
        again=True,
    ),
    "attestor-provider": Words(
        "The place where you log in does not answer at the moment. Please try again shortly.",
        "로그인하는 곳이 지금 응답하지 않아요. 잠시 뒤에 다시 해 주세요.",
        again=True,
    ),
    "attestor-login": Words(
        "The login was not completed. Please begin anew.",
        "로그인이 끝나지 않았어요. 처음부터 다시 해 주세요.",
    ),
    "attestor-token": Words(
        "What the login said about you is not right. Please begin anew, or go to a desk.",
        "로그인 결과를 믿을 수 없어요. 처음부터 다시 하거나 창구를 이용해 주세요.",
    ),
    "attestor-code": Words(
        "This code is not known, was used already, or has ended. Please get a new one.",
        "없는 확인 번호이거나 이미 쓰였거나 시간이 지났어요. 새 번호를 받아 주세요.",
    ),
    "attestor-return": Words(
        "This attestor does not know the page that asks. Please use the city's own pages.",
        "확인 기관에 등록되지 않은 페이지예요. 시 공식 페이지에서 다시 해 주세요.",
    ),
    "attestor-device": Words(
        "This device is not known here, or not any more. Please log in again, or go to a desk.",
        "등록되지 않았거나 등록 기간이 끝난 기기예요. 다시 로그인하거나 창구를 이용해 주세요.",
    ),
    "attestor-lost": Words(
        "This device was reported lost. Please log in again with a new key.",
        "분실 신고된 기기예요. 새 기기로 다시 등록해 주세요.",
    ),
    "attestor-not-yours": Words(
        "That device is not known for one of yours.",
        "내 기기로 등록된 것이 아니에요.",
    ),
    "attestor-devices": Words(
        "You have as many devices here as you can. Please remove one first.",
        "등록할 수 있는 기기를 다 썼어요. 쓰지 않는 기기를 먼저 지워 주세요.",
    ),
    "attestor-claims": Words(
        "So many confirmations were given to this device that there are no more for a while.",
        "이 기기로 받은 본인 확인이 너무 많아요. 나중에 다시 해 주세요.",
    ),
    "attestor-signature": Words(
        "The signature is not right. Please update the page or program that you use.",
        "서명이 맞지 않아요. 페이지를 새로 고치거나 프로그램을 최신판으로 바꿔 주세요.",
    ),
    "attestor-clock": Words(
        "Your device's clock is wrong by ten minutes or more. Please set it.",
        "기기의 시계가 10분 이상 맞지 않아요. 시각을 맞춰 주세요.",
    ),
    "attestor-malformed": Words(
        "This cannot be read. Please update the page or program that you use.",
        "요청을 읽을 수 없어요. 페이지를 새로 고치거나 프로그램을 최신판으로 바꿔 주세요.",
    ),
    "attestor-way": Words(
        "This attestor does not confirm in this way.",
        "이 확인 기관에서는 쓸 수 없는 방법이에요.",
    ),
    "attestor-official": Words(
        "Only an official of this district may confirm who somebody is.",
        "해당 구의 담당 공무원만 본인 확인을 해 줄 수 있어요.",
    ),
    "attestor-number": Words(
        "Please enter the number of the document that was shown.",
        "확인한 신분증의 번호를 적어 주세요.",
    ),
    "attestor-gu": Words("There is no such district.", "그런 구는 없어요."),
}
