"""What a citizen is told when something could not be filed: for each reason code what to do, in both languages.

A refusal's own sentence is for whoever looks into it; these are for the person who waits. `again` says whether the same
bytes may be filed again, here or at another node; with all other reasons the answer stays the same, and something has
to be changed first. A code that is not known here, of a newer node perhaps, is told as one that may be tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["REASONS", "Words", "words_for"]


class Words(NamedTuple):
    """The sentences, and whether to file the same again."""

    en: str
    ko: str
    again: bool = False


REASONS: Final[Mapping[str, Words]] = {
    # ask again: nobody has decided anything, or it is not known what was decided
    "civic-moved": Words(
        "The office's log has just moved to another machine. Please send the same again.",
        "접수 장부를 맡은 서버가 방금 바뀌었어요. 같은 내용을 다시 보내 주세요.",
        again=True,
    ),
    "civic-busy": Words(
        "Very many people are filing at the moment. Please send the same again shortly.",
        "지금 접수하시는 분이 아주 많아요. 잠시 후 같은 내용을 다시 보내 주세요.",
        again=True,
    ),
    "civic-down": Words(
        "The office's log cannot be reached at the moment. Please send the same again shortly; nothing was filed.",
        "지금은 접수 장부에 연결할 수 없어서 접수되지 않았어요. 잠시 후 같은 내용을 다시 보내 주세요.",
        again=True,
    ),
    "civic-unknown": Words(
        "We cannot tell yet whether this was filed. Please send the same again: it is never filed twice.",
        "접수가 되었는지 아직 알 수 없어요. 같은 내용을 다시 보내 주세요. 두 번 접수되지는 않아요.",
        again=True,
    ),
    # final: something has to be changed
    "civic-read-only": Words(
        "This log takes nothing until it has been examined. Please file at the office's counter, or try another day.",
        "점검이 끝날 때까지 이 장부에는 접수할 수 없어요. 담당 기관 창구를 이용하시거나 다른 날 다시 시도해 주세요.",
    ),
    "civic-stream": Words(
        "There is no such office here, or this was made out to another one. Please choose the office again.",
        "해당 기관이 없거나 다른 기관 앞으로 작성되었어요. 기관을 다시 선택해 주세요.",
    ),
    "civic-type": Words(
        "This office does not take this kind of request. Please choose another service or office.",
        "이 기관에서는 처리하지 않는 업무예요. 다른 서비스나 기관을 선택해 주세요.",
    ),
    "civic-clock": Words(
        "Your device's clock is wrong by ten minutes or more. Please set it, then write and file this anew.",
        "기기의 시계가 10분 이상 맞지 않아요. 시각을 맞춘 뒤 새로 작성해 접수해 주세요.",
    ),
    "civic-field": Words(
        "Something is missing or not written as it has to be. Please check the fields, and file this anew.",
        "빠졌거나 형식에 맞지 않는 항목이 있어요. 항목을 확인한 뒤 새로 접수해 주세요.",
    ),
    "civic-sealed": Words(
        "The locked part does not belong to this request. Please file it anew from your own device.",
        "잠긴 내용이 이 신청과 맞지 않아요. 본인의 기기에서 새로 접수해 주세요.",
    ),
    "civic-signature": Words(
        "The signature is not right: this was altered on its way, perhaps. Please file it anew, by another node.",
        "서명이 맞지 않아요. 전달 중에 바뀌었을 수 있으니 다른 서버를 통해 새로 접수해 주세요.",
    ),
    "civic-replay": Words(
        "Something else was filed with the same key before. Please file this anew, with a new key.",
        "같은 키로 이미 다른 내용이 접수되어 있어요. 새 키로 다시 작성해 접수해 주세요.",
    ),
    "civic-size": Words(
        "This is too long. Please shorten it, and file it anew.",
        "내용이 너무 길어요. 줄여서 새로 접수해 주세요.",
    ),
    "civic-malformed": Words(
        "This cannot be read as a request. Please update the program you file with, and file it anew.",
        "신청 내용을 읽을 수 없어요. 접수 프로그램을 최신판으로 바꾼 뒤 새로 접수해 주세요.",
    ),
    "civic-erase-none": Words(
        "There is no entry of that number to be erased. Please check the number on your receipt.",
        "삭제할 번호의 접수 건이 없어요. 접수증의 번호를 확인해 주세요.",
    ),
    "civic-erase-open": Words(
        "Nothing is locked with that entry: all of it is public, and stays in the log.",
        "이 접수 건에는 잠긴 내용이 없어요. 공개된 내용은 장부에 그대로 남아요.",
    ),
    "civic-erase-right": Words(
        "Only who filed an entry, or the office itself, may have it erased. Please use the device you filed it with.",
        "접수하신 본인이나 담당 기관만 삭제를 요청할 수 있어요. 접수할 때 쓰신 기기에서 요청해 주세요.",
    ),
    "civic-keys": Words(
        "Only the city may announce keys of its logs, and this was not announced by it.",
        "장부의 키는 시에서만 공고할 수 있어요. 시에서 공고한 것이 아니어서 접수하지 않았어요.",
    ),
    # what is attached; again: bring the file once more, then file the same
    "attachment-name": Words(
        "What is attached is not named as it has to be. Please attach it again, and file this anew.",
        "첨부 파일의 이름이 형식에 맞지 않아요. 파일을 다시 첨부해 새로 접수해 주세요.",
    ),
    "attachment-signature": Words(
        "What is attached was not signed for by whoever attached it. Please attach it again, and file this anew.",
        "첨부 파일의 서명이 맞지 않아요. 파일을 다시 첨부해 새로 접수해 주세요.",
    ),
    "attachment-size": Words(
        "This file is too large. Please attach a smaller one.",
        "파일이 너무 커요. 더 작은 파일을 첨부해 주세요.",
    ),
    "attachment-full": Words(
        "There is no room for files here at the moment. Please file without one, or try another day.",
        "지금은 파일을 더 받을 수 없어요. 파일 없이 접수하거나 다른 날 다시 해 주세요.",
    ),
    "attachment-missing": Words(
        "A file that you attached did not arrive, or waited too long. Please attach it again.",
        "첨부한 파일이 도착하지 않았거나 보관 시간이 지났어요. 파일을 다시 첨부해 주세요.",
    ),
    "attachment-taken": Words(
        "A file that you attached belongs to another request. Please attach it again, and file this anew.",
        "첨부한 파일이 다른 신청에 쓰였어요. 파일을 다시 첨부해 새로 접수해 주세요.",
    ),
}
_OTHER: Final = Words(
    "It could not be filed, for a reason that is not known here. Please try again, by another node if need be.",
    "알 수 없는 이유로 접수되지 않았어요. 다시 시도하시거나 다른 서버를 이용해 주세요.",
    again=True,
)


def words_for(reason: str) -> Words:
    """What to tell whoever filed, of this reason code."""
    return REASONS.get(reason, _OTHER)
