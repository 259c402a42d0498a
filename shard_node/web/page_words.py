"""What the citizen's pages say: every sentence in Korean and English, titles and navigation in Japanese and Chinese.

Where a phrase has no words in the language of a page, it is shown in English and marked as English, so that a screen
reader speaks it so. Braces are filled by whoever shows it. States and actions are in `p2pworld.services.words`, and
reasons why something is declined in `reasons`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LANGUAGES", "LANGUAGE_NAMES", "PHRASES", "SPOKEN", "Phrase", "phrase"]

LANGUAGES: Final = ("ko", "en", "ja", "zh")
LANGUAGE_NAMES: Final[Mapping[str, str]] = {"ko": "한국어", "en": "English", "ja": "日本語", "zh": "中文"}
# languages that somebody may ask to be spoken to in, by ISO 639, each as it calls itself
SPOKEN: Final[Mapping[str, str]] = {
    **{"ko": "한국어", "en": "English", "zh": "中文", "ja": "日本語", "vi": "Tiếng Việt", "mn": "Монгол"},
    **{"ru": "Русский", "uz": "Oʻzbekcha", "kk": "Қазақша", "th": "ไทย", "km": "ខ្មែរ", "ne": "नेपाली"},
    **{"id": "Bahasa Indonesia", "ms": "Bahasa Melayu", "tl": "Tagalog", "my": "မြန်မာ", "lo": "ລາວ"},
    **{"hi": "हिन्दी", "bn": "বাংলা", "ur": "اردو", "si": "සිංහල", "fa": "فارسی", "ar": "العربية"},
    **{
        "tr": "Türkçe",
        "fr": "Français",
        "de": "Deutsch",
        "es": "Español",
        "pt": "Português",
        "it": "Italiano",
    },
}


class Phrase(NamedTuple):
    """One phrase; `ja` and `zh` are empty where it has no words of its own there."""

    ko: str
    en: str
    ja: str = ""
    zh: str = ""


PHRASES: Final[Mapping[str, Phrase]] = {
    # ---- around every page
    "city": Phrase("가상 서울", "Virtual Seoul", "バーチャルソウル", "虚拟首尔"),
    "desk": Phrase("시민 서비스", "Citizen services", "市民サービス", "市民服务"),
    "official_desk": Phrase("공무원 업무 창", "Official's desk", "職員の窓口", "公务员工作台"),
    "skip": Phrase("본문으로 바로 가기", "Skip to main content", "本文へ移動", "跳至正文"),
    "home": Phrase("처음으로", "Home", "ホーム", "首页"),
    "services": Phrase("서비스", "Services", "サービス", "服务"),
    "requests": Phrase("내 신청", "My requests", "申請一覧", "我的申请"),
    "people": Phrase("내 열쇠", "My keys", "自分の鍵", "我的密钥"),
    "statistics": Phrase("처리 통계", "Statistics", "処理統計", "办理统计"),
    "about": Phrase("도움말", "Help", "ヘルプ", "帮助"),
    "language": Phrase("언어", "Language", "言語", "语言"),
    "world": Phrase("도시로 들어가기", "Enter the city", "街に入る", "进入城市"),
    "menu": Phrase("주요 메뉴", "Main menu", "メインメニュー", "主菜单"),
    "foot": Phrase(
        "모든 신청은 바꿀 수 없는 기록에 남고, 누구나 그 기록을 확인할 수 있어요.",
        "Every request is kept in a record that cannot be altered, and that anybody can check.",
    ),
    "feed": Phrase("공개 처리 현황 (Atom)", "Public progress feed (Atom)"),
    "api": Phrase("개발자를 위한 안내", "For developers"),
    "needs_script": Phrase(
        "신청서에 전자서명을 하려면 자바스크립트가 필요해요. 이 서비스는 120 다산콜이나 창구에서도 "
        "신청할 수 있어요.",
        "Signing a request takes JavaScript. You can also use this service by calling 120 or at a counter.",
    ),
    "needs_script_list": Phrase(
        "이 화면은 이 기기에 보관한 열쇠로 만들어져서 자바스크립트가 필요해요.",
        "This page is made with the keys kept on this device, and that takes JavaScript.",
    ),
    "follow_code": Phrase("확인 코드로 신청 보기", "See a request by its code"),
    "loading": Phrase("불러오는 중이에요.", "Loading."),
    "offline": Phrase(
        "인터넷이 끊겼어요. 쓰던 내용은 이 기기에 남아 있어요.",
        "You are offline. Your draft is kept on this device.",
    ),
    # ---- emergencies
    "emergency_title": Phrase("급한 일인가요?", "Is it urgent?", "緊急ですか？", "紧急吗？"),
    "emergency": Phrase(
        "사람이 다치거나 위험하면 지금 바로 전화해 주세요.",
        "If somebody is hurt or in danger, call now.",
        "人がけがをした、または危険な場合は、今すぐ電話してください。",
        "如有人受伤或有危险，请立即拨打电话。",
    ),
    "call_119": Phrase("119 화재·구급", "119 fire, ambulance", "119 消防・救急", "119 火警・急救"),
    "call_112": Phrase("112 경찰", "112 police", "112 警察", "112 警察"),
    # ---- the catalogue
    "home_title": Phrase("무엇을 도와드릴까요?", "How can we help?", "ご用件は何ですか？", "需要什么帮助？"),
    "home_lead": Phrase(
        "고르면 바로 신청서가 열려요. 가입은 필요 없고, 쓰던 내용은 이 기기에 남아요.",
        "Choose one and its form opens. There is nothing to sign up for, and your draft stays on "
        "this device.",
    ),
    "search": Phrase("서비스 찾기", "Search services", "サービスを検索", "搜索服务"),
    "search_go": Phrase("찾기", "Search", "検索", "搜索"),
    "search_hint": Phrase("예: 주차, 테니스, 지방세", "such as parking, tennis, tax"),
    "search_clear": Phrase("모두 보기", "Show all", "すべて表示", "显示全部"),
    "found": Phrase("{count}개를 찾았어요", "{count} found", "{count}件見つかりました", "找到{count}项"),
    "found_none": Phrase(
        "찾을 수 없어요. 다른 말로 찾거나 120 다산콜 상담에 물어봐 주세요.",
        "Nothing found. Try another word, or ask the 120 consultation.",
    ),
    "sectors": Phrase("분야", "Topics", "分野", "领域"),
    "places_title": Phrase(
        "빈 시간을 먼저 볼까요?", "Look for free times first", "空き時間を見る", "先看空闲时段"
    ),
    "sector_administration": Phrase(
        "민원·예약·세금", "Requests, bookings, taxes", "申請・予約・税", "申请・预约・税务"
    ),
    "sector_economy": Phrase("일자리·기업", "Jobs and business", "仕事・企業", "就业・企业"),
    "sector_education": Phrase("교육", "Learning", "教育", "教育"),
    "sector_tourism": Phrase("관광·축제", "Tours and festivals", "観光・祭り", "旅游・节庆"),
    "sector_infrastructure": Phrase("업무 공간", "Working places", "ワークスペース", "办公空间"),
    "sector_city": Phrase("안전·도시", "Safety and the city", "安全・都市", "安全・城市"),
    "sector_communication": Phrase("소통·배려", "Being heard and helped", "対話・配慮", "沟通・关怀"),
    "kind_complaint": Phrase("민원", "complaint", "苦情・要望", "市民诉求"),
    "kind_consultation": Phrase("상담", "consultation", "相談", "咨询"),
    "kind_reservation": Phrase("예약", "booking", "予約", "预约"),
    "kind_enrolment": Phrase("수강 신청", "enrolment", "受講申し込み", "课程报名"),
    "kind_inquiry": Phrase("문의", "inquiry", "問い合わせ", "问询"),
    "kind_application": Phrase("신청", "application", "申請", "申请"),
    "kind_programme": Phrase("프로그램", "programme", "プログラム", "活动"),
    "kind_tour": Phrase("관광", "tour", "観光", "旅游"),
    "kind_festival": Phrase("축제", "festival", "祭り", "节庆"),
    "kind_report": Phrase("신고", "report", "通報", "上报"),
    # ---- a service
    "at_a_glance": Phrase("한눈에 보기", "At a glance", "概要", "概览"),
    "who_may": Phrase("누가 신청하나요", "Who may use it", "利用できる人", "适用对象"),
    "fee": Phrase("수수료", "Fee", "手数料", "费用"),
    "deadline": Phrase("처리 기한", "Deadline", "処理期限", "办理期限"),
    "office": Phrase("담당 부서", "Office in charge", "担当部署", "经办部门"),
    "steps": Phrase("진행 순서", "How it goes", "手順", "流程"),
    "privacy": Phrase("개인정보 안내", "Privacy notice", "個人情報のご案内", "个人信息说明"),
    "privacy_why": Phrase("받는 까닭", "Why we ask"),
    "privacy_keep": Phrase("보관 기간", "Kept for", "保管期間", "保存期限"),
    "privacy_public": Phrase("누구나 볼 수 있는 내용", "What anybody can see", "公開される内容", "公开部分"),
    "privacy_sealed": Phrase(
        "담당 부서만 읽는 내용", "What only the office reads", "封印された内容", "密封内容"
    ),
    "privacy_public_none": Phrase(
        "서비스 이름과 접수한 때뿐이에요.", "Only which service it is, and when it was filed."
    ),
    "privacy_public_also": Phrase(
        "이 밖에 서비스 이름과 접수한 때가 공개 기록에 남아요.",
        "Besides these, the public record shows the service and when it was filed.",
    ),
    "privacy_erase": Phrase(
        "보관 기간이 끝나면 내용을 읽는 열쇠를 없애요. 이름과 연락처는 공개 기록에 남지 않아요.",
        "When that time is over, the key to the content is destroyed. Names and contacts are never "
        "in the public record.",
    ),
    "keep_after": Phrase("처리가 끝난 뒤 {days}일", "{days} days after it is done"),
    "keep_none": Phrase("처리가 끝나면 바로 지워요", "Deleted as soon as it is done"),
    "keep_contact": Phrase("연락처는 {days}일", "contact details {days} days"),
    "keep_contact_none": Phrase(
        "연락처는 처리가 끝나면 바로 지워요", "contact details are deleted as soon as it is done"
    ),
    "term_working-hours": Phrase(
        "근무시간 {count}시간 안에 답변해요", "Answered within {count} working hours"
    ),
    "term_working-days": Phrase("근무일 {count}일 안에 답변해요", "Answered within {count} working days"),
    "term_days": Phrase("{count}일 안에 답변해요", "Answered within {count} days"),
    "term_months": Phrase("{count}달 안에 답변해요", "Answered within {count} months"),
    "term_hours": Phrase("{count}시간 안에 답변해요", "Answered within {count} hours"),
    "term_working-hours_one": Phrase("근무시간 1시간 안에 답변해요", "Answered within one working hour"),
    "term_working-days_one": Phrase("근무일 1일 안에 답변해요", "Answered within one working day"),
    "term_days_one": Phrase("하루 안에 답변해요", "Answered within one day"),
    "term_months_one": Phrase("한 달 안에 답변해요", "Answered within one month"),
    "term_hours_one": Phrase("1시간 안에 답변해요", "Answered within one hour"),
    "statutory": Phrase("법으로 정한 기한이에요", "This term is set by law"),
    "person_verified": Phrase(
        "본인 확인이 필요해요. 아직 하지 않았다면 ‘내 열쇠’에서 먼저 확인해 주세요.",
        "You need to be verified once. If you are not yet, do that first under ‘My keys’.",
    ),
    "person_resident": Phrase(
        "본인 확인과 거주하는 구의 확인이 필요해요. 아직 하지 않았다면 ‘내 열쇠’에서 먼저 확인해 주세요.",
        "You need to be verified as a resident. If you are not yet, do that first under ‘My keys’.",
    ),
    "short_anybody": Phrase("누구나", "anybody", "どなたでも", "任何人"),
    "short_verified": Phrase("본인 확인 필요", "verification needed", "本人確認が必要", "需实名验证"),
    "short_resident": Phrase("구민", "residents", "区民", "本区居民"),
    "person_go": Phrase("본인 확인하러 가기", "Go and be verified"),
    # ---- a form
    "form": Phrase("신청서", "Form", "申請書", "申请表"),
    "required_note": Phrase(
        "‘필수’라고 적힌 칸은 꼭 채워 주세요.", "Please fill in every field marked ‘required’."
    ),
    "required": Phrase("필수", "required", "必須", "必填"),
    "optional": Phrase("선택", "optional", "任意", "选填"),
    "choose": Phrase("골라 주세요", "Please choose", "選んでください", "请选择"),
    "file_button": Phrase("제출하기", "Submit", "提出する", "提交"),
    "draft_erase": Phrase("쓰던 내용 지우기", "Delete this draft", "下書きを削除", "删除草稿"),
    "draft_note": Phrase(
        "쓰는 동안 이 기기에 저절로 저장돼요. 제출하기 전에는 아무 데도 보내지 않아요.",
        "What you write is kept on this device as you type, and goes nowhere before you submit it.",
    ),
    "errors_title": Phrase("고칠 곳이 있어요", "Please correct this", "修正が必要です", "请更正以下内容"),
    "characters": Phrase("{count}자까지", "up to {count} characters"),
    "yes": Phrase("예", "Yes"),
    "no": Phrase("아니요", "No"),
    "agree": Phrase("동의해요", "I agree", "同意します", "同意"),
    "choose_up_to": Phrase("{count}개까지 고를 수 있어요.", "Choose up to {count}."),
    "number_between": Phrase("{least}부터 {most}까지", "from {least} to {most}"),
    "files_hint": Phrase(
        "{types} 형식, 하나에 {mebibytes}MiB까지, {count}개까지 올릴 수 있어요. 봉인해서 담당 부서만 "
        "열 수 있어요.",
        "{types}; up to {mebibytes} MiB each, {count} at most. They are sealed: only the office can "
        "open them.",
    ),
    "file_hint": Phrase(
        "{types} 형식, {mebibytes}MiB까지 올릴 수 있어요. 봉인해서 담당 부서만 열 수 있어요.",
        "{types}; up to {mebibytes} MiB. It is sealed: only the office can open it.",
    ),
    "point_gu": Phrase("자치구", "District (gu)", "区", "自治区(区)"),
    "point_near": Phrase("가까운 곳 이름", "A place nearby"),
    "point_near_hint": Phrase(
        "이름을 쓰면 알려진 장소를 골라 드려요. 더 자세한 위치는 내용에 적어 주세요.",
        "Begin to type and choose a known place. Describe the exact spot in your own words further down.",
    ),
    "point_coordinates": Phrase("좌표 (위도, 경도)", "Coordinates (latitude, longitude)"),
    "point_coordinates_hint": Phrase(
        "구나 장소를 고르면 저절로 채워져요. 예: 37.5663,126.9779",
        "Filled in when you choose a district or a place; such as 37.5663,126.9779",
    ),
    "point_map": Phrase("서울 지도", "Map of Seoul"),
    "point_map_hint": Phrase(
        "지도를 눌러도 돼요. 지도 없이도 모두 채울 수 있어요.",
        "You may also press the map; everything works without it.",
    ),
    "signature_hint": Phrase(
        "제출할 때 이 기기의 열쇠로 저절로 서명해요.", "Signed with this device's key when you submit."
    ),
    "facility_choose": Phrase("시설을 고르면 빈 시간이 나와요.", "Choose a facility to see its free times."),
    "wait_field": Phrase("자리가 없으면 대기자로 올려 주세요", "Put me on the waiting list if it is full"),
    "gateway_note": Phrase(
        "자바스크립트 없이 보내면 이 노드의 접수 창구가 대신 서명해요. 그 사실은 공개 기록에 남아요.",
        "Sent without JavaScript, this node's gateway signs for you, and the public record says so.",
    ),
    # ---- facilities and slots
    "facilities": Phrase("시설", "Facilities", "施設", "设施"),
    "slot_free": Phrase("예약 가능", "available", "予約可", "可预约"),
    "slot_left": Phrase("{count}자리", "{count} left"),
    "slot_full": Phrase("마감", "full", "満了", "已满"),
    "slot_waiting": Phrase("대기 가능", "waiting list", "キャンセル待ち", "候补"),
    "slot_past": Phrase("지남", "past"),
    "slot_deadline": Phrase("접수 끝", "closed"),
    "slot_later": Phrase("아직", "not yet"),
    "slot_residents": Phrase("구민 우선", "residents first", "区民優先", "本区居民优先"),
    "slot_draw": Phrase("추첨", "draw", "抽選", "抽签"),
    "day_closed": Phrase("쉬는 날", "closed", "休館日", "休息日"),
    "week_before": Phrase("이전 7일", "Previous 7 days"),
    "week_after": Phrase("다음 7일", "Next 7 days"),
    "capacity": Phrase("정원", "Capacity", "定員", "容纳人数"),
    "capacity_people": Phrase("한 번에 {count}명까지", "up to {count} people"),
    "seats": Phrase("시간마다 자리", "Places in each slot"),
    "usage_fee": Phrase("이용료", "Fee", "利用料", "使用费"),
    "free": Phrase("무료", "free of charge", "無料", "免费"),
    "won": Phrase("{amount}원", "{amount} won"),
    "opening": Phrase("여는 때", "Opening hours"),
    "allocation": Phrase("자리 주는 방법", "How places are given"),
    "first_come": Phrase("선착순", "first come, first served", "先着順", "先到先得"),
    "lottery": Phrase("추첨", "draw", "抽選", "抽签"),
    "residents_days": Phrase("구민은 {days}일 먼저 예약해요", "Residents can book {days} days earlier"),
    "residents_first": Phrase("구민이 먼저예요", "Residents come first"),
    "residents_only": Phrase("구민만 이용해요", "Residents only"),
    "residents": Phrase("구민 우선", "Residents", "区民優先", "本区居民优先"),
    "calendar_add": Phrase("달력에 넣기", "Add to calendar", "カレンダーに追加", "添加到日历"),
    "slots_lead": Phrase("빈 시간을 누르면 신청서가 열려요.", "Choose a free time and its form opens."),
    # ---- my requests
    "requests_lead": Phrase(
        "이 기기에서 보낸 신청이에요. 다른 기기의 신청도 보려면 ‘내 열쇠’에서 열쇠를 가져와 주세요.",
        "What was filed from this device. To see what you filed elsewhere, import its keys under ‘My keys’.",
    ),
    "requests_none": Phrase("아직 신청한 것이 없어요.", "You have not filed anything yet."),
    "requests_all": Phrase("서비스 둘러보기", "Look at the services"),
    "request": Phrase("신청", "Request", "申請", "申请"),
    "case_number": Phrase("접수 번호", "Case number", "受付番号", "受理编号"),
    "state": Phrase("상태", "State", "状態", "状态"),
    "filed": Phrase("접수한 때", "Filed", "受付日時", "受理时间"),
    "due": Phrase("처리 기한", "Answer due by", "処理期限", "办理期限"),
    "due_none": Phrase("기한 멈춤", "clock stopped", "期限停止中", "期限暂停"),
    "due_waits": Phrase(
        "기한 멈춤(보완 기다리는 중)",
        "clock stopped (waiting for you)",
        "期限停止中(補足待ち)",
        "期限暂停(等待补充)",
    ),
    "due_over": Phrase("기한이 지났어요", "overdue"),
    "done": Phrase("처리 끝", "done"),
    "history": Phrase("지나온 길", "What has happened", "経過", "办理经过"),
    "who_citizen": Phrase("신청인", "who filed it", "申請者", "申请人"),
    "who_official": Phrase("담당자", "officer in charge", "担当者", "经办人"),
    "who_decider": Phrase("결정권자", "who decides", "決定権者", "决定人"),
    "who_system": Phrase("기록 담당 노드", "the keeper of the record"),
    "act_filed": Phrase("신청했어요", "filed"),
    "amount_stars": Phrase("별점 {count}점", "{count} of 5 stars"),
    "amount_days": Phrase("{count}일", "{count} days"),
    "actions": Phrase("할 수 있는 일", "What you can do", "できること", "可进行的操作"),
    "actions_none": Phrase("지금은 하실 일이 없어요.", "There is nothing for you to do now."),
    "own_part": Phrase("내가 보낸 내용", "What you sent"),
    "sealed_part": Phrase("봉인된 내용", "What was sealed"),
    "erased": Phrase("지웠어요", "erased"),
    "erased_letter": Phrase("이 글의 내용은 지웠어요.", "What this letter said was erased."),
    "not_mine": Phrase(
        "이 기기에는 이 신청의 열쇠가 없어서 공개되는 내용만 보여 드려요.",
        "This device does not have the key of this request, so only its public part is shown.",
    ),
    "asked_until": Phrase("보완 기한", "Add it by", "補足の期限", "补充期限"),
    "booking": Phrase("자리를 잡아 둔 기한", "Held for you", "仮押さえの期限", "保留期限"),
    "until": Phrase("{time}까지", "until {time}"),
    "receipt": Phrase("접수증", "Filing receipt", "受付証", "受理凭证"),
    "receipt_lead": Phrase(
        "접수증은 이 신청이 기록에 들어 있다는 증명이에요. 누구의 말도 믿지 않고 이 화면에서 직접 "
        "확인할 수 있어요.",
        "The receipt proves that this request is in the record. Check it here yourself: you need to "
        "trust nobody's word.",
    ),
    "receipt_check": Phrase("내가 직접 확인하기", "Check it yourself", "自分で確認する", "自行核验"),
    "receipt_download": Phrase(
        "접수증 내려받기", "Download the receipt", "受付証をダウンロード", "下载受理凭证"
    ),
    "receipt_print": Phrase("인쇄하기", "Print", "印刷する", "打印"),
    "receipt_signed": Phrase("서명", "Signed by", "署名", "签名"),
    "via_gateway": Phrase("접수 창구가 대신 서명했어요", "A gateway signed it for the citizen"),
    "rating": Phrase("만족도", "Satisfaction", "満足度", "满意度"),
    "supporters": Phrase("공감한 사람", "Supporters", "賛同者", "支持者"),
    "people_count": Phrase("{count}명", "{count}", "{count}人", "{count}人"),
    "support": Phrase("공감하기", "Support this", "賛同する", "表示支持"),
    "support_lead": Phrase(
        "한 사람이 한 번 공감해요. 누가 공감했는지는 아무도 알 수 없고, 몇 명인지는 공개 기록에서 누구나 셀 수 있어요. "
        "제안 내용은 봉인되어 있으니 제안한 사람이 알린 내용을 보고 공감해 주세요.",
        "Everybody counts once. Nobody sees who supports it, and anybody counts how many from the public record. "
        "The text itself is sealed: support it if you know from its author what it says.",
    ),
    "support_go": Phrase("공감해요", "I support this", "賛同します", "我支持"),
    "request_missing": Phrase(
        "이 번호의 신청을 아직 찾을 수 없어요. 방금 접수했다면 몇 초 뒤에 다시 열어 주세요.",
        "There is no request of this number yet. If you have just filed it, look again in a few seconds.",
    ),
    "again": Phrase("다시 보기", "Look again"),
    # ---- my keys
    "people_lead": Phrase(
        "열쇠는 이 기기에만 있어요. 시도 잃어버린 열쇠를 되살릴 수 없으니 따로 보관해 주세요.",
        "Your keys are on this device only. The city cannot restore a lost key, so keep a copy.",
    ),
    # ---- statistics
    "statistics_lead": Phrase(
        "공개 기록만으로 계산해요. 누구나 같은 숫자를 얻을 수 있어요.",
        "Computed from the public record alone: anybody gets the same figures.",
    ),
    "statistics_none": Phrase("아직 처리한 신청이 없어요.", "No request has been dealt with yet."),
    "by_service": Phrase("서비스별", "By service"),
    "by_office": Phrase("기관별", "By office"),
    "by_month": Phrase("달별", "By month"),
    "count_filed": Phrase("접수", "filed"),
    "count_kept": Phrase("기한 안에 답변", "answered in time"),
    "count_missed": Phrase("기한을 넘김", "deadline missed"),
    "count_open": Phrase("처리하는 중", "open"),
    "share_kept": Phrase("기한 지킨 비율", "kept"),
    "month": Phrase("달", "Month"),
    "service": Phrase("서비스", "Service", "サービス", "服务"),
    # ---- help
    "about_file_title": Phrase("신청은 어떻게 하나요", "How to file a request"),
    "about_file": Phrase(
        "서비스를 고르고 신청서를 채워 제출하면 돼요. 가입이나 로그인은 없어요. 본인 확인이 필요한 "
        "서비스는 한 번만 확인하면 돼요.",
        "Choose a service, fill in its form and submit it. There is no account and no login. Some "
        "services need you to be "
        "verified, once.",
    ),
    "about_follow_title": Phrase("처리 과정은 어디서 보나요", "How to follow it"),
    "about_follow": Phrase(
        "‘내 신청’에서 상태와 기한, 담당자의 글을 볼 수 있어요. 보완하거나 취하하는 일도 거기서 해요.",
        "‘My requests’ shows its state, its deadline and the office's letters. That is also where "
        "you add what is asked for, "
        "or withdraw it.",
    ),
    "about_keys_title": Phrase("열쇠가 무엇인가요", "What the keys are"),
    "about_keys": Phrase(
        "신청에 서명하는 숫자예요. 이 기기에만 있으니, 기기를 바꾸기 전에 ‘내 열쇠’에서 파일로 "
        "내보내 주세요.",
        "Numbers that sign your requests. They are on this device only, so export them to a file "
        "under ‘My keys’ before you "
        "change devices.",
    ),
    "about_record_title": Phrase("기록을 믿어도 되나요", "Why the record can be trusted"),
    "about_record": Phrase(
        "모든 신청은 바꾸면 드러나는 기록에 남고, 다른 기관이 함께 지켜봐요. 접수증이 있으면 누구의 "
        "말도 믿지 않고 확인할 수 있어요.",
        "Every request goes into a record in which any change shows, and other institutions watch "
        "it. With its receipt you "
        "can check that yourself and need to trust nobody's word.",
    ),
    "about_access_title": Phrase("읽거나 쓰기 어려운가요", "If reading or typing is hard"),
    "about_access": Phrase(
        "모든 화면은 키보드와 화면 낭독기로 쓸 수 있고, 글자를 400%까지 키워도 돼요. 화면의 밝기는 "
        "기기 설정을 따라요. 도움이 필요하면 ‘접근성 도움’ 서비스를 이용해 주세요.",
        "Every page works with a keyboard and a screen reader, and with text four times as large. "
        "Light and dark follow your "
        "device. If you need a hand, use the accessibility service.",
    ),
    "about_developers_title": Phrase("개발자를 위한 안내", "For developers"),
    "about_developers": Phrase(
        "모든 서비스는 JSON API와 Open311로도 쓸 수 있고, 기록은 누구나 내려받을 수 있어요.",
        "Every service also has a JSON interface and Open311, and anybody can download the record.",
    ),
    "about_people_title": Phrase("사람과 이야기하고 싶은가요", "If you would rather talk to a person"),
    "about_people": Phrase(
        "120 다산콜에 전화하거나, 도시의 120 센터 창구로 와 주세요.",
        "Call 120, or come to the counter of the 120 Center in the city.",
    ),
    # ---- what is not there
    "missing_title": Phrase("찾을 수 없어요", "Not found", "見つかりません", "未找到"),
    "missing": Phrase(
        "찾을 수 없어요. 번호나 주소를 확인해 주세요.", "Not found. Please check the number or address."
    ),
    "wait_index": Phrase(
        "이 노드는 지금 기록을 읽고 있어요. 잠시 뒤에 다시 열어 주세요.",
        "This node is reading the record just now. Please look again in a moment.",
    ),
}


def phrase(key: str, language: str) -> tuple[str, bool]:
    """The words of `key`, and whether they are in `language` (else they are English)."""
    words = PHRASES[key]._asdict()[language]
    return (words, True) if words else (PHRASES[key].en, False)
