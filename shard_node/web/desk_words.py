"""What the official's desk says, in Korean and English; its titles in Japanese and Chinese too.

The page's script shows the same words: they come to it with the page, in its language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.world.places import Words

__all__ = ["DESK_WORDS", "SCRIPT_WORDS"]

DESK_WORDS: Final[Mapping[str, Words]] = {
    "desk": {"ko": "공무원 업무 창", "en": "Official's desk", "ja": "職員の窓口", "zh": "公务员工作台"},
    "lead": {
        "ko": "맡은 기관의 신청을 처리 기한 순서로 보고, 열고, 답해요. 하는 일은 모두 서명되어 기록에 남아요.",
        "en": "See what your office has to do by deadline, open it, answer it. Every act is signed and in the log.",
    },
    "offices": {"ko": "기관", "en": "Offices", "ja": "機関", "zh": "机关"},
    "queue": {"ko": "처리할 신청", "en": "Requests to deal with", "ja": "処理する申請", "zh": "待办申请"},
    "queue_of": {"ko": "{office} 신청 목록", "en": "Queue of {office}"},
    "queue_empty": {"ko": "여기에 맞는 신청이 없어요.", "en": "No request is like that."},
    "overdue_first": {
        "ko": "기한이 지난 신청부터 보여요.",
        "en": "What is late comes first.",
    },
    "filter": {"ko": "골라 보기", "en": "Choose what to see"},
    "all_states": {"ko": "모든 단계", "en": "Every step"},
    "all_services": {"ko": "모든 서비스", "en": "Every service"},
    "state": {"ko": "단계", "en": "Step"},
    "service": {"ko": "서비스", "en": "Service"},
    "search": {"ko": "찾을 말", "en": "Search"},
    "search_hint": {
        "ko": "번호, 서비스 이름, 공개 항목에서 찾아요.",
        "en": "In numbers, names of services and public fields.",
    },
    "only_overdue": {"ko": "기한이 지난 것만", "en": "Late ones only"},
    "with_closed": {"ko": "끝난 것도", "en": "Closed ones too"},
    "show": {"ko": "보기", "en": "Show"},
    "number": {"ko": "번호", "en": "Number"},
    "due": {"ko": "처리 기한", "en": "Deadline"},
    "due_waits": {"ko": "보완 기다림", "en": "waits for the citizen"},
    "late": {"ko": "지남", "en": "late"},
    "filed": {"ko": "신청한 때", "en": "Filed"},
    "assigned": {"ko": "담당자", "en": "Assigned to"},
    "nobody": {"ko": "없음", "en": "nobody"},
    "take_it": {"ko": "내가 넘겨받기", "en": "take it over"},
    "more": {"ko": "다음 신청", "en": "More requests"},
    "office": {"ko": "기관", "en": "Office"},
    "statistics": {"ko": "우리 기관 통계", "en": "Statistics of this office"},
    "month": {"ko": "신청한 달", "en": "Month of filing"},
    "filed_count": {"ko": "신청", "en": "Filed"},
    "kept": {"ko": "기한 안에", "en": "In time"},
    "missed": {"ko": "기한 넘김", "en": "Too late"},
    "open": {"ko": "처리 중", "en": "Open"},
    "statistics_none": {"ko": "아직 통계가 없어요.", "en": "There are no figures yet."},
    "history": {"ko": "처리 기록", "en": "What was done"},
    "filed_act": {"ko": "신청", "en": "filed"},
    "who_citizen": {"ko": "신청인", "en": "citizen"},
    "who_official": {"ko": "담당자", "en": "official"},
    "who_decider": {"ko": "결정권자", "en": "decider"},
    "who_system": {"ko": "시스템", "en": "system"},
    "facts": {"ko": "공개된 내용", "en": "What is public"},
    "sealed": {"ko": "봉인된 내용", "en": "What is sealed"},
    "acts": {"ko": "할 수 있는 일", "en": "What you can do"},
    "no_script": {
        "ko": "서명하고 봉인을 열려면 자바스크립트가 필요해요. 명령줄 ‘p2pworld desk’로도 할 수 있어요.",
        "en": "Signing and opening need JavaScript. The command line `p2pworld desk` does the same.",
    },
    "missing": {
        "ko": "그런 신청이 없거나, 이 서버가 아직 몰라요.",
        "en": "There is no such request, or this node does not know it yet.",
    },
    "keys": {"ko": "내 열쇠", "en": "My keys"},
    "keys_lead": {
        "ko": "‘p2pworld keys’로 만든 파일 세 개를 골라 주세요. 열쇠는 이 브라우저에만 두고, 서버로 보내지 않아요.",
        "en": "Choose the three files that `p2pworld keys` made. Keys stay in this browser and are never sent.",
    },
    "key_file": {"ko": "서명 열쇠 파일", "en": "Signing key file"},
    "grant_file": {"ko": "권한 파일", "en": "Grant file"},
    "secret_file": {"ko": "기관 봉인 열쇠 파일", "en": "The office's sealing secret file"},
    "secret_hint": {
        "ko": "없으면 봉인된 내용을 열거나 답변을 쓸 수 없어요.",
        "en": "Without it you cannot open what is sealed, nor write letters.",
    },
}

SCRIPT_WORDS: Final[Mapping[str, Words]] = {
    "keep": {"ko": "이 브라우저에 두기", "en": "Keep in this browser"},
    "forget": {"ko": "이 브라우저에서 지우기", "en": "Forget on this browser"},
    "forgotten": {"ko": "열쇠를 지웠어요.", "en": "The keys are gone from this browser."},
    "kept": {"ko": "이제 일할 수 있어요.", "en": "You can work now."},
    "who": {
        "ko": "{role} · {scope} · {until}까지",
        "en": "{role} · {scope} · until {until}",
    },
    "official": {"ko": "공무원", "en": "official"},
    "all_offices": {"ko": "모든 기관", "en": "all offices"},
    "opens": {"ko": "봉인된 내용을 열 수 있어요.", "en": "Opens what is sealed."},
    "opens_not": {"ko": "기관 봉인 열쇠가 없어요.", "en": "Without the office's sealing secret."},
    "key_wrong": {"ko": "서명 열쇠 파일이 아니에요.", "en": "That is no signing key file."},
    "grant_wrong": {"ko": "권한 파일이 아니에요.", "en": "That is no grant file."},
    "grant_other": {"ko": "다른 열쇠에 준 권한이에요.", "en": "That was granted to another key."},
    "grant_over": {"ko": "기간이 끝난 권한이에요.", "en": "That grant has ended."},
    "secret_wrong": {"ko": "봉인 열쇠 파일이 아니에요.", "en": "That is no sealing secret file."},
    "keys_first": {
        "ko": "먼저 ‘내 열쇠’에서 열쇠를 넣어 주세요.",
        "en": "Give your keys under “My keys” first.",
    },
    "me": {"ko": "나", "en": "me"},
    "mine": {"ko": "내가 맡은 것", "en": "Mine"},
    "away_until": {"ko": "{day}까지 자리 비움", "en": "away until {day}"},
    "away": {"ko": "자리 비움", "en": "I am away"},
    "away_hint": {
        "ko": "맡은 신청마다 며칠 동안 없다고 남겨요. 신청인과 동료가 볼 수 있어요.",
        "en": "Says in each of your requests for how many days; citizens and colleagues see it.",
    },
    "days": {"ko": "날수", "en": "Days"},
    "take_over": {"ko": "동료 일 넘겨받기", "en": "Take over from a colleague"},
    "take_over_all": {"ko": "모두 넘겨받기 ({count}건)", "en": "Take over all ({count})"},
    "colleague": {"ko": "동료", "en": "Colleague"},
    "each_done": {"ko": "{done}건 마침, {left}건 남음", "en": "{done} done, {left} left"},
    "opening": {"ko": "여는 중…", "en": "Opening…"},
    "shut": {"ko": "열 수 없어요: {why}", "en": "It does not open: {why}"},
    "shut_right": {"ko": "읽을 권한이 없어요.", "en": "You have no right to read it."},
    "shut_key": {
        "ko": "이 기관의 열쇠로 봉인되지 않았어요.",
        "en": "It is not sealed for this office.",
    },
    "files": {"ko": "붙인 파일", "en": "Attached files"},
    "shut_erased": {"ko": "지워졌어요.", "en": "It was erased."},
    "shut_lost": {"ko": "서버가 답하지 않아요.", "en": "No node answers."},
    "shut_false": {
        "ko": "기록과 맞지 않아요. 담당 부서에 알려 주세요.",
        "en": "It is not what the log says. Please report this.",
    },
    "letter": {"ko": "편지", "en": "letter"},
    "download": {"ko": "{name} 내려받기", "en": "Download {name}"},
    "file_open": {"ko": "{name} 열어 보기", "en": "Open {name}"},
    "file_gone": {"ko": "파일이 없거나 달라요.", "en": "The file is gone, or is not that one."},
    "file_opened": {"ko": "내용 확인됨: {type}", "en": "checked by its content: {type}"},
    "file_wrong": {
        "ko": "내용이 허락된 형식이 아니라서 열지 않았어요.",
        "en": "Its content is none of the allowed types, so it was not opened.",
    },
    "act": {"ko": "할 일", "en": "What to do"},
    "amount_days": {"ko": "날수", "en": "Days"},
    "amount_term": {"ko": "늘릴 길이", "en": "How much longer"},
    "to": {"ko": "보낼 기관", "en": "To which office"},
    "template": {"ko": "글틀", "en": "Template"},
    "template_none": {"ko": "빈 글", "en": "none"},
    "text": {"ko": "신청인에게 쓰는 글", "en": "What you write to the citizen"},
    "text_hint": {
        "ko": "봉인되어 신청인과 우리 기관만 읽어요.",
        "en": "Sealed: only the citizen and your office read it.",
    },
    "text_brackets": {
        "ko": "괄호 안을 채워 주세요.",
        "en": "Please fill in what is in brackets.",
    },
    "language": {"ko": "글의 언어", "en": "Language of the letter"},
    "send": {"ko": "서명해서 남기기", "en": "Sign and file"},
    "sending": {"ko": "남기는 중이에요. 창을 닫지 마세요.", "en": "Filing. Please keep this open."},
    "done": {
        "ko": "기록 {entry}번에 남았고, 영수증을 확인했어요.",
        "en": "It is entry {entry} of the log; the receipt was checked.",
    },
    "unknown": {
        "ko": "남았는지 아직 몰라요. 같은 내용을 다시 보내면 두 번 남지 않아요.",
        "en": "Whether it was filed is not known yet. Send the same again: it is never filed twice.",
    },
    "again": {"ko": "다시 보내기", "en": "Send again"},
    "reload": {"ko": "새로 보기", "en": "Look again"},
    "nothing": {"ko": "지금 할 수 있는 일이 없어요.", "en": "There is nothing to do now."},
    "no_office_key": {
        "ko": "그 기관의 봉인 열쇠를 몰라서 보낼 수 없어요.",
        "en": "That office's sealing key is not known, so it cannot be passed on.",
    },
    "too_long": {"ko": "글이 너무 길어요.", "en": "That is too long."},
}
