"""What an interface replies: a reason code and its sentence in Korean and English, wherever it comes from.

A refusal of the log or of a service, a field that is filled in wrong, and what the interfaces for programs decline
themselves (`INTERFACE_REASONS`) all become one value, so that JSON, XML and pages say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.civic.reasons import Words
from p2pworld.services.reasons import words_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.errors import Refusal
    from p2pworld.services.form import FieldFault

__all__ = ["INTERFACE_REASONS", "Told", "told", "told_of_fault", "told_of_refusal"]

INTERFACE_REASONS: Final[Mapping[str, Words]] = {
    # ---- what was asked cannot be read
    "not-found": Words("There is nothing here under this name.", "이 이름으로는 아무것도 찾을 수 없어요."),
    "method-not-allowed": Words("This cannot be done here.", "여기에서는 할 수 없는 요청이에요."),
    "malformed": Words(
        "What was sent cannot be read. Please send it as the interface's description says.",
        "보내 주신 내용을 읽을 수 없어요. 안내된 형식으로 다시 보내 주세요.",
    ),
    "too-large": Words(
        "This is too large. The limit is {limit}. Nothing was filed.",
        "너무 커요. {limit}까지 보낼 수 있어요. 접수되지 않았어요.",
    ),
    "too-slow": Words(
        "Not all of it came in time. Nothing was filed; please send it again.",
        "제시간에 다 도착하지 않았어요. 접수되지 않았으니 다시 보내 주세요.",
        again=True,
    ),
    "busy": Words(
        "Too much is sent from here at once. Please try again in a moment.",
        "요청이 한꺼번에 너무 많이 왔어요. 잠시 후 다시 보내 주세요.",
        again=True,
    ),
    # ---- what is asked for there is not
    "service-unknown": Words("There is no such service.", "찾을 수 없는 서비스예요."),
    "gateway-none": Words(
        "Nobody files for others at this node. Please file at another one, or with a key of your own.",
        "이 서버는 대신 접수해 드리지 않아요. 다른 서버를 이용하거나 본인 키로 신청해 주세요.",
    ),
    "gateway-not-here": Words(
        "This service needs a signature of your own. Please file it from your own device.",
        "본인 서명이 필요한 서비스예요. 본인의 기기에서 신청해 주세요.",
    ),
    "office-key-unknown": Words(
        "No office's key is known here that this could be sealed for. Please try another node.",
        "내용을 잠글 담당 기관의 키를 찾을 수 없어요. 다른 서버에서 다시 시도해 주세요.",
        again=True,
    ),
    # ---- filing for somebody
    "idempotency-key": Words(
        "An Idempotency-Key has 16 to 200 visible characters without spaces.",
        "Idempotency-Key는 공백 없는 문자 16~200자로 보내 주세요.",
    ),
    "idempotency-reused": Words(
        "Something else was sent under the same Idempotency-Key before. Please take a new one.",
        "같은 Idempotency-Key로 다른 내용을 보낸 적이 있어요. 새 키로 보내 주세요.",
    ),
    "filing-open": Words(
        "We cannot tell yet whether this was filed. Please send the same again: it is never filed twice.",
        "접수가 되었는지 아직 확인하고 있어요. 같은 내용을 다시 보내 주세요. 두 번 접수되지 않아요.",
        again=True,
    ),
    "filing-lapsed": Words(
        "This could not be filed in time. Please send it again.",
        "제시간에 접수하지 못했어요. 다시 보내 주세요.",
        again=True,
    ),
    "letter-unsupported": Words(
        "The text contains characters that cannot be used, or is longer than {limit} characters.",
        "쓸 수 없는 글자가 있거나 글이 {limit}자보다 길어요.",
    ),
    "files-none": Words("This service takes no files.", "파일을 받지 않는 서비스예요."),
    "files-not-here": Words(
        "Files cannot be taken here. Please file without them, or from your own device.",
        "여기에서는 파일을 받을 수 없어요. 파일 없이 신청하거나 본인의 기기에서 신청해 주세요.",
    ),
    "sealed-too-long": Words(
        "All of it together is too long. Please shorten the texts.",
        "전체 내용이 너무 길어요. 글을 줄여 주세요.",
    ),
    # ---- Open311
    "jurisdiction-unknown": Words(
        "There is no such jurisdiction_id here: {limit} is known.",
        "없는 jurisdiction_id예요. {limit}만 쓸 수 있어요.",
    ),
    "service-code-missing": Words("Please send a service_code.", "service_code를 보내 주세요."),
    "service-code-unknown": Words("There is no service of this service_code.", "없는 service_code예요."),
    "request-unknown": Words(
        "There is no request of this service_request_id.", "없는 service_request_id예요."
    ),
    "token-unknown": Words("There is no such token.", "없는 token이에요."),
    "location-missing": Words(
        "Please say where: send lat and long.", "위치를 알려 주세요. lat와 long을 보내 주세요."
    ),
    "location-half": Words(
        "lat and long belong together: please send both, as numbers.",
        "lat와 long은 함께 숫자로 보내 주세요.",
    ),
    "address-unknown": Words(
        "We cannot find this address. Please send lat and long as well.",
        "이 주소의 위치를 찾을 수 없어요. lat와 long도 함께 보내 주세요.",
    ),
    "address-id-unknown": Words(
        "There is no register of addresses here. Please send lat and long instead of address_id.",
        "주소 번호(address_id)는 쓰지 않아요. 대신 lat와 long을 보내 주세요.",
    ),
    "media-url": Words(
        "media_url is to be a web address of at most 300 characters.",
        "media_url은 300자 이내의 웹 주소로 보내 주세요.",
    ),
    "note-unsupported": Words(
        "The description contains characters that cannot be used, or is longer than {limit} characters.",
        "설명에 쓸 수 없는 글자가 있거나 {limit}자보다 길어요.",
    ),
    "time-invalid": Words(
        "start_date and end_date are written such as 2026-05-01T00:00:00Z.",
        "start_date와 end_date는 2026-05-01T00:00:00Z처럼 보내 주세요.",
    ),
    "time-span": Words(
        "start_date and end_date may be at most {limit} days apart, the first before the second.",
        "start_date부터 end_date까지는 {limit}일 이내여야 해요.",
    ),
    "status-unknown": Words("status is open or closed.", "status는 open 또는 closed예요."),
    "too-many-ids": Words("At most {limit} at once, please.", "한 번에 {limit}개까지 물을 수 있어요."),
}


@dataclass(frozen=True, slots=True)
class Told:
    """A reason code, its sentences, the field of the form that it is about, and whether to send the same again."""

    reason: str
    ko: str
    en: str
    field: str = ""
    again: bool = False

    def sentence(self, language: str) -> str:
        """What is read in `ko`; everybody else reads English."""
        return self.ko if language == "ko" else self.en


def told(reason: str, limit: str = "") -> Told:
    """What an interface says of itself; `limit` is the bound that the sentence tells."""
    words = INTERFACE_REASONS[reason]
    return Told(reason, words.ko.format(limit=limit), words.en.format(limit=limit), again=words.again)


def told_of_fault(fault: FieldFault) -> Told:
    """What is wrong with a field."""
    return Told(fault.code, fault.sentence("ko"), fault.sentence("en"), fault.field)


def told_of_refusal(refusal: Refusal) -> Told:
    """Why the log or a service declines."""
    words = INTERFACE_REASONS.get(refusal.reason) or words_of(refusal.reason)
    return Told(refusal.reason, words.ko, words.en, again=words.again)
