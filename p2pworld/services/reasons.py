"""Why a service declines: each code with its sentences for the citizen or the official, in English and Korean.

None of them may be asked again unchanged: what the log's holder says of itself is in `civic.reasons`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.civic.reasons import REASONS, Words, words_for
from p2pworld.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIELD_REASONS", "SERVICE_REASONS", "is_known", "refusal", "words_of"]

SERVICE_REASONS: Final[Mapping[str, Words]] = {
    # ---- a case
    "state-conflict": Words(
        "This cannot be done at the present step.",
        "지금 단계에서는 할 수 없어요.",
    ),
    "already-closed": Words(
        "This request is already closed.",
        "이미 끝난 신청이에요.",
    ),
    "case-moved-on": Words(
        "Something has been done with this request in the meantime. Please look at it again.",
        "그사이에 신청이 달라졌어요. 새로 확인해 주세요.",
    ),
    "case-full": Words(
        "Too much has been done with this request already. Please file a new one.",
        "이 신청에는 더 기록할 수 없어요. 새로 신청해 주세요.",
    ),
    "case-unknown": Words(
        "There is no such request here.",
        "찾을 수 없는 신청이에요.",
    ),
    "office-unknown": Words(
        "There is no such office to pass this on to.",
        "이송할 기관을 찾을 수 없어요.",
    ),
    "support-closed": Words(
        "Support is not gathered for this at the moment.",
        "지금은 공감을 모으는 제안이 아니에요.",
    ),
    "supported-already": Words(
        "You support this already. Everybody counts once.",
        "이미 공감하셨어요. 한 사람이 한 번만 셀 수 있어요.",
    ),
    "forbidden": Words(
        "You are not allowed to do this.",
        "이 일을 할 권한이 없어요.",
    ),
    "key-reused": Words(
        "A different request came under the same number. Please start a new one.",
        "같은 요청 번호로 다른 내용이 도착했어요. 새로 신청해 주세요.",
    ),
    "extension-used": Words(
        "The deadline cannot be extended again.",
        "처리 기간은 더 늘릴 수 없어요.",
    ),
    "extension-too-long": Words(
        "An extension is at most as long as the term itself.",
        "연장은 원래 처리 기간만큼까지만 할 수 있어요.",
    ),
    "consent-needed": Words(
        "A second extension needs the citizen's consent.",
        "기간을 한 번 더 늘리려면 신청인의 동의가 필요해요.",
    ),
    "transfers-used": Words(
        "This request has been passed on too often. The office that has it now must deal with it.",
        "이미 여러 번 이송된 신청이에요. 지금 맡은 기관에서 처리해 주세요.",
    ),
    "supplement-late": Words(
        "The time to add information has passed. The office will tell you what comes next.",
        "보완 기한이 지났어요. 담당자가 다음 절차를 알려 드릴게요.",
    ),
    "supplement-awaited": Words(
        "The citizen still has time to add what was asked for.",
        "아직 신청인이 보완할 수 있는 기간이에요.",
    ),
    "supplement-days": Words(
        "Please give a number of days that this service allows.",
        "이 서비스에서 정한 범위 안에서 날수를 적어 주세요.",
    ),
    "prolong-used": Words(
        "More time for adding information can be asked for twice only.",
        "보완 기간 연장은 두 번까지만 요청할 수 있어요.",
    ),
    "asked-once": Words(
        "Papers may be returned only after two requests without an answer.",
        "보완을 두 번 요청한 뒤에도 답이 없을 때만 반려할 수 있어요.",
    ),
    "asked-twice": Words(
        "This has been asked for twice already.",
        "이미 두 번 보완을 요청했어요.",
    ),
    "inquiry-used": Words(
        "No further on-site inquiry is possible.",
        "현장 조사를 더 시작할 수 없어요.",
    ),
    "inquiry-too-long": Words(
        "An on-site inquiry may not last so many days.",
        "현장 조사 기간을 그렇게 길게 잡을 수 없어요.",
    ),
    "reopen-late": Words(
        "It is too late to reopen this request. Please file a new one.",
        "다시 접수할 수 있는 기간이 지났어요. 새로 신청해 주세요.",
    ),
    "rated-already": Words(
        "You have already told us how satisfied you are.",
        "이미 만족도를 남기셨어요.",
    ),
    "rating-unknown": Words(
        "Please give one to five stars.",
        "별점은 1점부터 5점까지 줄 수 있어요.",
    ),
    # ---- a booking
    "slot-taken": Words(
        "Someone has just booked this time. Please choose another.",
        "방금 다른 분이 이 시간을 예약했어요. 다른 시간을 골라 주세요.",
    ),
    "slot-closed": Words(
        "This place is not open at that time. Please choose another.",
        "이 시간에는 운영하지 않아요. 다른 시간을 골라 주세요.",
    ),
    "facility-closed": Words(
        "The facility is closed on that day.",
        "시설 사정으로 이날은 쉬어요.",
    ),
    "facility-unknown": Words(
        "There is no such facility here.",
        "찾을 수 없는 시설이에요.",
    ),
    "slot-past": Words(
        "This time is already over. Please choose another.",
        "이미 지난 시간이에요. 다른 시간을 골라 주세요.",
    ),
    "slot-not-open": Words(
        "It is too early to book this time.",
        "아직 예약할 수 있는 기간이 아니에요.",
    ),
    "slot-deadline": Words(
        "The time to book this slot has passed.",
        "이 시간은 예약 신청 기간이 끝났어요.",
    ),
    "slot-overlap": Words(
        "You already have a booking at this time.",
        "같은 시간에 이미 예약이 있어요.",
    ),
    "residents-first": Words(
        "At the moment only residents of this district can book this time.",
        "지금은 해당 구 주민만 예약할 수 있어요.",
    ),
    "residents-only": Words(
        "Only residents of this district can book here.",
        "해당 구 주민만 예약할 수 있는 시설이에요.",
    ),
    "quota-used": Words(
        "You have used all your bookings for this month.",
        "이번 달에 예약할 수 있는 횟수를 다 썼어요.",
    ),
    "too-many-people": Words(
        "So many people cannot use this place at once.",
        "이용 인원이 정원보다 많아요.",
    ),
    "waitlist-full": Words(
        "The waiting list is full too.",
        "대기 자리도 모두 찼어요.",
    ),
    "waiting-already": Words(
        "You are already on the waiting list for this time.",
        "이미 이 시간의 대기자로 올라 있어요.",
    ),
    "no-booking": Words(
        "There is no such booking.",
        "해당하는 예약이 없어요.",
    ),
    "hold-expired": Words(
        "Your hold has run out. Please choose again.",
        "잡아 둔 시간이 지났어요. 다시 골라 주세요.",
    ),
    "not-yet": Words(
        "It is too early for this.",
        "아직 할 수 있는 때가 아니에요.",
    ),
    "cancel-late": Words(
        "It is too late to cancel here. Please ask the office.",
        "취소할 수 있는 시간이 지났어요. 담당 부서에 문의해 주세요.",
    ),
    "no-show-pause": Words(
        "A booking was not used, so you cannot book for some time.",
        "예약하고 이용하지 않은 적이 있어 당분간 예약할 수 없어요.",
    ),
    "booked-by-lot": Words(
        "Places here are given by a draw.",
        "이 시설은 추첨으로 이용자를 정해요.",
    ),
    # ---- a draw
    "draw-closed": Words(
        "Entries for the draw are closed.",
        "추첨 신청이 마감되었어요.",
    ),
    "draw-entered": Words(
        "You have already entered this draw. Everybody counts once.",
        "이미 이 추첨에 신청하셨어요. 한 사람은 한 번만 참여할 수 있어요.",
    ),
    "draw-unknown": Words(
        "There is no such draw here.",
        "찾을 수 없는 추첨이에요.",
    ),
    "draw-order": Words(
        "This is not the time for this step of the draw.",
        "지금은 이 추첨 단계가 아니에요.",
    ),
    "draw-time": Words(
        "It is too early, or too late, for this step of the draw.",
        "이 추첨 단계를 하기에는 너무 이르거나 늦었어요.",
    ),
    "draw-signature": Words(
        "The party that is said to say this did not sign it.",
        "추첨 참여 기관의 서명이 맞지 않아요.",
    ),
    "draw-party": Words(
        "This is for another party of the draw to say.",
        "다른 추첨 참여 기관이 해야 하는 일이에요.",
    ),
    "draw-full": Words(
        "So many have entered this draw that no more can be taken.",
        "신청이 너무 많아 더 받을 수 없어요.",
    ),
    "draw-entries": Words(
        "These are not the entries that stand in the record.",
        "기록에 있는 신청과 맞지 않아요.",
    ),
    "draw-share": Words(
        "This is not the secret whose fingerprint was published.",
        "미리 공개한 지문값과 맞지 않는 비밀이에요.",
    ),
    "draw-outcome": Words(
        "The outcome of the draw is another one.",
        "추첨 결과가 기록과 맞지 않아요.",
    ),
    # ---- who it is
    "claim-missing": Words(
        "Please show first that you are one person: at an attestor, or at the office's desk.",
        "먼저 본인 확인을 받아 주세요. 온라인이나 창구에서 할 수 있어요.",
    ),
    "claim-broken": Words(
        "What was shown of who you are cannot be read. Please have it confirmed again.",
        "본인 확인서를 읽을 수 없어요. 본인 확인을 다시 받아 주세요.",
    ),
    "claim-attestor": Words(
        "Whoever confirmed who you are is not known here. Please choose another attestor.",
        "여기에서 인정하지 않는 곳의 본인 확인이에요. 다른 확인 기관을 골라 주세요.",
    ),
    "claim-purpose": Words(
        "This confirmation of who you are is for something else. Please get one for this service.",
        "다른 용도로 받은 본인 확인이에요. 이 서비스용으로 다시 받아 주세요.",
    ),
    "claim-expired": Words(
        "This confirmation of who you are has ended. Please get a new one.",
        "본인 확인 기간이 끝났어요. 다시 확인받아 주세요.",
    ),
    "claim-long": Words(
        "This confirmation of who you are would hold for too long. Please get a new one.",
        "본인 확인의 유효 기간이 너무 길어요. 새로 확인받아 주세요.",
    ),
    "claim-withdrawn": Words(
        "This confirmation was taken back because a device was reported lost. Please get a new one.",
        "분실 신고된 기기의 본인 확인이라 쓸 수 없어요. 새로 확인받아 주세요.",
    ),
    "claim-signature": Words(
        "The attestor's signature is not right. Please get a new confirmation of who you are.",
        "확인 기관의 서명이 맞지 않아요. 본인 확인을 다시 받아 주세요.",
    ),
    "claim-proof": Words(
        "This confirmation of who you are was given to another device, or for another request.",
        "다른 기기나 다른 신청에 쓰인 본인 확인이에요. 이 기기에서 다시 신청해 주세요.",
    ),
    "claim-resident": Words(
        "This service is for residents of this district only.",
        "해당 구에 사는 분만 이용할 수 있는 서비스예요.",
    ),
}

# what is wrong with a field; `field` is its label, `limit` the bound
FIELD_REASONS: Final[Mapping[str, Words]] = {
    "field-required": Words("Please fill in: {field}", "빈칸을 채워 주세요: {field}"),
    "field-invalid": Words("Please check: {field}", "다시 확인해 주세요: {field}"),
    "field-unknown": Words("This form has no such field: {field}", "이 양식에 없는 항목이에요: {field}"),
    "text-too-long": Words(
        "{field}: the text is too long. The limit is {limit} characters.",
        "{field}: 글이 너무 길어요. {limit}자까지 쓸 수 있어요.",
    ),
    "text-too-short": Words(
        "{field}: please write at least {limit} characters.",
        "{field}: {limit}자 이상 써 주세요.",
    ),
    "text-unsupported": Words(
        "{field}: the text contains characters that cannot be used.",
        "{field}: 쓸 수 없는 글자가 들어 있어요.",
    ),
    "number-too-large": Words("{field}: at most {limit}.", "{field}: {limit}까지 적을 수 있어요."),
    "number-too-small": Words("{field}: at least {limit}.", "{field}: {limit} 이상이어야 해요."),
    "too-many-files": Words(
        "You can attach up to {limit} files.",
        "파일은 {limit}개까지 올릴 수 있어요.",
    ),
    "file-too-large": Words(
        "The file is too large. The limit is {limit} MiB.",
        "파일이 너무 커요. {limit}MiB까지 올릴 수 있어요.",
    ),
    "file-type": Words(
        "Files of this type are not accepted. Accepted are: {limit}.",
        "이 형식의 파일은 받을 수 없어요. 올릴 수 있는 형식: {limit}",
    ),
    "file-broken": Words(
        "This file is damaged, or holds far more than it seems to. Please save it again.",
        "파일이 손상되었거나 겉보기보다 훨씬 많은 내용이 들어 있어요. 다시 저장해 주세요.",
    ),
    "too-many-choices": Words(
        "{field}: please choose at most {limit}.",
        "{field}: {limit}개까지 고를 수 있어요.",
    ),
    "too-many-people": Words(
        "{field}: this place takes {limit} at once, at most.",
        "{field}: 이 시설은 한 번에 {limit}명까지 이용할 수 있어요.",
    ),
    "choice-unknown": Words("{field}: please choose one of the list.", "{field}: 목록에서 골라 주세요."),
    "must-agree": Words("{field}: you have to agree to this.", "{field}: 동의해 주셔야 해요."),
    "date-invalid": Words("Please check the date: {field}", "날짜를 다시 확인해 주세요: {field}"),
    "date-late": Words(
        "{field}: the time to file this has passed; it was {limit} days.",
        "{field}: 신청할 수 있는 기간({limit}일)이 지났어요.",
    ),
    "date-future": Words("{field}: this day has not come yet.", "{field}: 아직 오지 않은 날짜예요."),
    "place-outside": Words("Please choose a place inside Seoul.", "서울 안의 위치를 골라 주세요."),
}


def refusal(code: str) -> Refusal:
    """The refusal of this code, with its English sentence."""
    return Refusal(code, SERVICE_REASONS[code].en)


def words_of(reason: str) -> Words:
    """What to tell whoever filed, of any reason that the holder of a log or its clerk gives."""
    return SERVICE_REASONS.get(reason) or words_for(reason)


def is_known(reason: str) -> bool:
    """Whether this is a reason that is known here, of the holder of a log or of its clerk."""
    return reason in SERVICE_REASONS or reason in REASONS
