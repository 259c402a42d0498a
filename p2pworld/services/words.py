"""What the states and actions are called: states in four languages (the glossary's words), actions in two.

An action has one name on the button that does it (`ACTION_WORDS`), and another where it is told that somebody has
done it (`DONE_WORDS`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.services.workflow import Action, State

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACTION_WORDS", "DONE_WORDS", "STATE_WORDS"]

STATE_WORDS: Final[Mapping[State, Mapping[str, str]]] = {
    State.RECEIVED: {"ko": "접수", "en": "received", "ja": "受付済み", "zh": "已受理"},
    State.APPLIED: {"ko": "신청", "en": "applied", "ja": "申し込み済み", "zh": "已申请"},
    State.ASSIGNED: {"ko": "배정", "en": "assigned", "ja": "担当割り当て", "zh": "已分派"},
    State.TRANSFERRED: {"ko": "이송", "en": "transferred", "ja": "他機関へ移送", "zh": "已移送"},
    State.SITE_CHECK: {"ko": "현장확인", "en": "site check", "ja": "現場確認", "zh": "现场核查"},
    State.IN_PROGRESS: {"ko": "처리중", "en": "in progress", "ja": "処理中", "zh": "处理中"},
    State.SUPPLEMENT_REQUESTED: {
        "ko": "보완요청",
        "en": "more information needed",
        "ja": "補足のお願い",
        "zh": "待补充材料",
    },
    State.REVIEWING: {"ko": "검토", "en": "under review", "ja": "審査中", "zh": "审核中"},
    State.APPROVED: {"ko": "승인", "en": "approved", "ja": "承認", "zh": "已批准"},
    State.DOCUMENT_REVIEW: {"ko": "서면평가", "en": "document review", "ja": "書類審査", "zh": "书面评审"},
    State.INTERVIEW: {"ko": "대면평가", "en": "interview", "ja": "面接審査", "zh": "面试评审"},
    State.SELECTED: {"ko": "선정", "en": "selected", "ja": "選定", "zh": "已入选"},
    State.NOT_SELECTED: {"ko": "미선정", "en": "not selected", "ja": "選外", "zh": "未入选"},
    State.CONTRACT: {"ko": "계약", "en": "contract", "ja": "契約", "zh": "签约"},
    State.SCHEDULED: {"ko": "일정확정", "en": "date set", "ja": "日程確定", "zh": "已定日期"},
    State.RUNNING: {"ko": "진행중", "en": "under way", "ja": "進行中", "zh": "进行中"},
    State.GATHERING_SUPPORT: {
        "ko": "공감모집",
        "en": "gathering support",
        "ja": "賛同募集中",
        "zh": "征集支持中",
    },
    State.ADOPTED: {"ko": "채택", "en": "adopted", "ja": "採択", "zh": "已采纳"},
    State.NOT_ADOPTED: {"ko": "불채택", "en": "not adopted", "ja": "不採択", "zh": "未采纳"},
    State.REFLECTED: {"ko": "반영", "en": "taken up", "ja": "反映", "zh": "已反映"},
    State.PARTLY_REFLECTED: {"ko": "일부반영", "en": "partly taken up", "ja": "一部反映", "zh": "部分反映"},
    State.NOT_REFLECTED: {"ko": "미반영", "en": "not taken up", "ja": "反映せず", "zh": "未反映"},
    State.HANDED_TO_PERSON: {
        "ko": "상담원연결",
        "en": "passed to a person",
        "ja": "担当者に接続",
        "zh": "已转人工",
    },
    State.EMERGENCY: {"ko": "긴급전환", "en": "emergency", "ja": "緊急対応へ切り替え", "zh": "已转紧急处置"},
    State.DRAW_PENDING: {"ko": "추첨대기", "en": "waiting for the draw", "ja": "抽選待ち", "zh": "待抽签"},
    State.DRAWN: {"ko": "당첨", "en": "drawn", "ja": "当選", "zh": "已中签"},
    State.NOT_DRAWN: {"ko": "미당첨", "en": "not drawn", "ja": "落選", "zh": "未中签"},
    State.HELD: {"ko": "임시선점", "en": "held for you", "ja": "仮押さえ", "zh": "暂时保留"},
    State.PAYMENT_DUE: {"ko": "결제대기", "en": "payment due", "ja": "支払い待ち", "zh": "待付款"},
    State.CONFIRMED: {"ko": "확정", "en": "confirmed", "ja": "確定", "zh": "已确认"},
    State.WAITING: {"ko": "대기", "en": "waiting list", "ja": "キャンセル待ち", "zh": "候补中"},
    State.USED: {"ko": "이용완료", "en": "used", "ja": "利用済み", "zh": "已使用"},
    State.FINISHED_COURSE: {"ko": "수료", "en": "finished", "ja": "修了", "zh": "结业"},
    State.NO_SHOW: {"ko": "미이용", "en": "not used", "ja": "未利用", "zh": "未使用"},
    State.CANCELLED: {"ko": "취소", "en": "cancelled", "ja": "キャンセル", "zh": "已取消"},
    State.EXPIRED: {"ko": "만료", "en": "expired", "ja": "期限切れ", "zh": "已过期"},
    State.COMPLETED: {"ko": "완료", "en": "completed", "ja": "完了", "zh": "已办结"},
    State.REFUSED: {"ko": "거부", "en": "refused", "ja": "不承認", "zh": "不予批准"},
    State.RETURNED: {"ko": "반려", "en": "returned", "ja": "返戻", "zh": "已退回"},
    State.WITHDRAWN: {"ko": "취하", "en": "withdrawn", "ja": "取り下げ", "zh": "已撤回"},
    State.CLOSED: {"ko": "종결", "en": "closed", "ja": "終結", "zh": "已终结"},
    State.REOPENED: {"ko": "재접수", "en": "reopened", "ja": "再受付", "zh": "重新受理"},
}


class _Said(NamedTuple):
    """An action on a button, and once it has happened, in Korean and in English; who did it is said beside."""

    do: str
    do_en: str
    done: str
    done_en: str


_ACTIONS: Final[Mapping[Action, _Said]] = {
    Action.ASSIGN: _Said("배정하기", "assign", "담당자가 정해졌어요", "assigned to an official"),
    Action.REASSIGN: _Said(
        "담당자 바꾸기", "hand to a colleague", "담당자가 바뀌었어요", "handed to a colleague"
    ),
    Action.TRANSFER: _Said(
        "이송하기", "transfer", "다른 기관으로 이송되었어요", "passed on to another office"
    ),
    Action.VISIT: _Said(
        "현장 확인하기", "check on site", "현장을 확인하러 나갔어요", "went to check on site"
    ),
    Action.BEGIN: _Said("처리 시작하기", "begin work", "처리를 시작했어요", "began work"),
    Action.NOTE: _Said("진행 상황 알리기", "tell how it goes", "진행 상황을 알렸어요", "told how it goes"),
    Action.ASK: _Said(
        "보완 요청하기", "ask for more information", "보완을 요청했어요", "asked for more information"
    ),
    Action.ASK_AGAIN: _Said(
        "다시 보완 요청하기", "ask again", "보완을 다시 요청했어요", "asked again for more information"
    ),
    Action.PROLONG: _Said(
        "보완 기간 연장 요청하기",
        "ask for more time",
        "보완 기간을 늘려 달라고 했어요",
        "asked for more time",
    ),
    Action.SUPPLEMENT: _Said("보완하기", "add what was asked for", "보완했어요", "added what was asked for"),
    Action.GO_ON: _Said(
        "보완 없이 계속하기", "go on without it", "보완 없이 처리를 이어 갔어요", "went on without it"
    ),
    Action.INQUIRE: _Said(
        "현장 조사 시작하기", "begin an on-site inquiry", "현장 조사를 시작했어요", "began an on-site inquiry"
    ),
    Action.INQUIRED: _Said(
        "현장 조사 마치기", "end the on-site inquiry", "현장 조사를 마쳤어요", "ended the on-site inquiry"
    ),
    Action.EXTEND: _Said(
        "기한 연장하기", "extend the deadline", "처리 기한을 연장했어요", "extended the deadline"
    ),
    Action.CONSENT: _Said(
        "기한 연장에 동의하기", "agree to more time", "기한 연장에 동의했어요", "agreed to more time"
    ),
    Action.REVIEW: _Said("검토하기", "examine", "검토를 시작했어요", "began to examine it"),
    Action.APPROVE: _Said("승인하기", "approve", "승인했어요", "approved"),
    Action.REFUSE: _Said("거부하기", "refuse", "거부했어요", "refused"),
    Action.RETURN: _Said("반려하기", "return the papers", "반려했어요", "returned the papers"),
    Action.CLOSE: _Said("종결하기", "close", "종결했어요", "closed"),
    Action.COMPLETE: _Said(
        "답변하고 완료하기", "answer and complete", "답변하고 완료했어요", "answered and completed"
    ),
    Action.REOPEN: _Said("다시 접수하기", "file again", "다시 접수했어요", "filed again"),
    Action.RATE: _Said(
        "만족도 남기기", "say how satisfied you are", "만족도를 남겼어요", "said how satisfied they are"
    ),
    Action.WITHDRAW: _Said("취하하기", "withdraw", "취하했어요", "withdrew it"),
    Action.READ_PAPERS: _Said(
        "서면평가 시작하기", "begin the document review", "서면평가를 시작했어요", "began the document review"
    ),
    Action.INTERVIEW: _Said(
        "대면평가에 부르기", "invite to the interview", "대면평가에 불렀어요", "invited to the interview"
    ),
    Action.SELECT: _Said("선정하기", "select", "선정했어요", "selected"),
    Action.DECLINE: _Said("선정하지 않기", "not select", "선정하지 않았어요", "did not select"),
    Action.CONTRACT: _Said("계약하기", "make the contract", "계약했어요", "made the contract"),
    Action.RENEW: _Said("계약 연장하기", "renew", "계약을 연장했어요", "renewed the contract"),
    Action.SCHEDULE: _Said("일정 정하기", "set the date", "일정을 정했어요", "a date was set"),
    Action.START: _Said("시작하기", "start", "시작했어요", "started"),
    Action.GATHER: _Said(
        "공감 모집 열기", "open for support", "공감 모집을 열었어요", "opened it for support"
    ),
    Action.ADOPT: _Said("채택하기", "adopt", "채택했어요", "adopted"),
    Action.NOT_ADOPT: _Said("채택하지 않기", "not adopt", "채택하지 않았어요", "did not adopt"),
    Action.TAKE_UP: _Said("반영하기", "take up", "반영했어요", "took it up"),
    Action.TAKE_UP_PARTLY: _Said(
        "일부 반영하기", "take up in part", "일부를 반영했어요", "took it up in part"
    ),
    Action.NOT_TAKE_UP: _Said("반영하지 않기", "not take up", "반영하지 않았어요", "did not take it up"),
    Action.HAND_OVER: _Said(
        "상담원에게 연결하기", "pass to a person", "상담원에게 연결되었어요", "passed to a person"
    ),
    Action.EMERGENCY: _Said(
        "긴급 상황으로 전환하기",
        "turn into an emergency",
        "긴급 상황으로 전환되었어요",
        "turned into an emergency",
    ),
    Action.HOLD: _Said("자리 잡아 두기", "hold a place", "자리를 잡아 두었어요", "held a place"),
    Action.ENTER: _Said("추첨에 넣기", "enter the draw", "추첨에 들어갔어요", "entered in the draw"),
    Action.DRAW: _Said("당첨 알리기", "draw", "당첨되었어요", "drawn"),
    Action.NOT_DRAW: _Said("미당첨 알리기", "not draw", "당첨되지 않았어요", "not drawn"),
    Action.CLAIM: _Said("결제로 넘어가기", "go on to payment", "결제를 기다려요", "payment is due"),
    Action.CONFIRM: _Said("확정하기", "confirm", "확정되었어요", "confirmed"),
    Action.WAIT: _Said(
        "대기자로 올리기", "put on the waiting list", "대기자로 올랐어요", "now on the waiting list"
    ),
    Action.MOVE_UP: _Said(
        "대기에서 올리기",
        "move up from the waiting list",
        "대기에서 자리를 얻었어요",
        "moved up from the waiting list",
    ),
    Action.CANCEL: _Said("예약 취소하기", "cancel", "예약을 취소했어요", "cancelled the booking"),
    Action.EXPIRE: _Said("기한이 지나 만료하기", "let it expire", "기한이 지나 만료되었어요", "expired"),
    Action.USE: _Said("이용 완료하기", "use", "이용을 마쳤어요", "used"),
    Action.MISS: _Said("미이용으로 표시하기", "mark as not used", "이용하지 않았어요", "not used"),
}
ACTION_WORDS: Final[Mapping[Action, Mapping[str, str]]] = {
    action: {"ko": said.do, "en": said.do_en} for action, said in _ACTIONS.items()
}
DONE_WORDS: Final[Mapping[Action, Mapping[str, str]]] = {
    action: {"ko": said.done, "en": said.done_en} for action, said in _ACTIONS.items()
}
