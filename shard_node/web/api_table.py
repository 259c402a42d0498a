"""Every JSON route of the services in one table: what it is for, what it takes, what it answers, with examples.

The description for programs (`/api/v1/openapi.json`) and the page for people (`/api`) are made from it, for those
routes that a node serves; a test holds the table against the routes, and the shapes against real answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from p2pworld.civic.attached import ATTACHMENT_HEADER
from p2pworld.limits import OPEN311_IDS_MAX, OPEN311_SPAN_DAYS
from p2pworld.world.places import Words
from shard_node.web.api_schemas import FLAG, KEY, NUMBER, TEXT, listed, ref

__all__ = ["OPERATIONS", "TAGS", "Answer", "Body", "Operation", "Parameter"]

JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
PLAIN: Final = "text/plain"
BINARY: Final = {"type": "string", "format": "binary"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value in the path, the query or a header."""

    name: str
    about: Words
    schema: Mapping[str, Any] = field(default_factory=lambda: TEXT)
    where: str = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent, by its types; `example` is of the first."""

    types: Mapping[str, Mapping[str, Any]]
    example: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back with a status."""

    status: int
    about: Words
    schema: Mapping[str, Any]
    type: str = JSON
    example: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    id: str
    tag: str
    title: Words
    about: Words
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None


TAGS: Final[Mapping[str, Words]] = {
    "services": {"ko": "서비스와 신청 양식", "en": "Services and their forms"},
    "apply": {"ko": "신청하기", "en": "Applying"},
    "follow": {"ko": "처리 과정 보기", "en": "Following requests"},
    "facilities": {"ko": "시설과 시간", "en": "Facilities and slots"},
    "log": {"ko": "직접 서명해 접수하기", "en": "Filing with a key of one's own"},
    "open311": {"ko": "Open311 GeoReport v2", "en": "Open311 GeoReport v2"},
    "about": {"ko": "이 인터페이스", "en": "This interface"},
}

_LANG: Final = Parameter("lang", {"ko": "답의 언어", "en": "The language of the answer."}, ref("Language"))
_ID: Final = Parameter("id", {"ko": "서비스 이름", "en": "A service."}, where="path", required=True)
_STREAM: Final = Parameter(
    "stream",
    {"ko": "기록 이름. 자치구 또는 city", "en": "A log: that of a gu, or `city`."},
    where="path",
    required=True,
)
_ENTRY: Final = Parameter(
    "entry", {"ko": "기록 안의 번호", "en": "A number in it."}, NUMBER, "path", required=True
)
_FACILITY: Final = Parameter("id", {"ko": "시설 이름", "en": "A facility."}, where="path", required=True)
_NAME: Final = Parameter(
    "name", {"ko": "잠근 파일의 이름", "en": "The name of a locked file."}, KEY, "path", required=True
)
_FORMAT: Final = Parameter(
    "format",
    {"ko": "json 또는 xml", "en": "json or xml."},
    {"type": "string", "enum": ["json", "xml"]},
    "path",
    required=True,
)
_JURISDICTION: Final = Parameter("jurisdiction_id", {"ko": "seoul, 없어도 돼요.", "en": "seoul, or nothing."})
_RETRY_KEY: Final = Parameter(
    "Idempotency-Key",
    {
        "ko": "공백 없는 문자 16~200자. 같은 키로 다시 보내면 두 번 접수되지 않고 같은 답을 받아요. 비밀로 간직하세요.",
        "en": "16 to 200 visible characters. Whoever sends the same again under it is answered the same, and nothing "
        "is filed twice. Keep it secret.",
    },
    where="header",
)
_SIGNED: Final = Parameter(
    ATTACHMENT_HEADER.title(),
    {
        "ko": "파일 이름인 키로 한 서명. 16진수 128자리",
        "en": "The signature of the key that the name is, over what is put: 128 hexadecimal digits.",
    },
    where="header",
    required=True,
)

_REASON: Final = {"ko": "이유", "en": "Why not."}
_VALUES_EXAMPLE: Final = {
    "values": {"kind": "pothole", "place": "37.575900,126.976800", "danger": "high"},
    "lang": "ko",
}
_FAULT_EXAMPLE: Final = {
    "field": "kind",
    "reason": "field-required",
    "sentence": "빈칸을 채워 주세요: 종류",
    "ko": "빈칸을 채워 주세요: 종류",
    "en": "Please fill in: Kind",
}


def _ok(about: Words, schema: Mapping[str, Any], example: Any = None, status: int = 200) -> Answer:
    return Answer(status, about, schema, JSON, example)


def _no(status: int, reason: str = "") -> Answer:
    return Answer(status, _REASON | ({"en": f"Why not: {reason}."} if reason else {}), ref("Error"))


def _declined(status: int) -> Answer:
    return Answer(status, _REASON, ref("Declined"))


def _open311(
    schema: Mapping[str, Any], about: Words, status: int = 200, example: Any = None
) -> tuple[Answer, ...]:
    errors = listed(ref("Open311Error"))
    return (
        Answer(status, about, schema, JSON, example),
        Answer(400, _REASON, errors),
        Answer(404, _REASON, errors),
    )


def _query(name: str, ko: str, en: str, schema: Mapping[str, Any] | None = None) -> Parameter:
    return Parameter(name, {"ko": ko, "en": en}, schema or TEXT)


OPERATIONS: Final[tuple[Operation, ...]] = (
    # ---- services
    Operation(
        "get", "/api/v1/services", "listServices", "services",
        {"ko": "모든 서비스", "en": "All services"},
        {"ko": "시에서 지금 제공하는 서비스 목록이에요.", "en": "What the city offers now."},
        (_ok({"ko": "서비스", "en": "The services."}, ref("Services")), _no(400)),
        (_LANG,),
    ),
    Operation(
        "get", "/api/v1/services/{id}", "getService", "services",
        {"ko": "서비스 하나와 신청 양식", "en": "A service and its form"},
        {
            "ko": "신청 양식(JSON Schema), 처리 단계, 기한, 개인정보 안내가 들어 있어요.",
            "en": "Its form as a JSON Schema, its steps, its deadline, and why data is asked for.",
        },
        (_ok({"ko": "서비스", "en": "The service."}, ref("Service")), _no(404, "service-unknown")),
        (_ID, _LANG),
    ),
    # ---- applying
    Operation(
        "post", "/api/v1/services/{id}/check", "checkForm", "apply",
        {"ko": "양식 확인하기", "en": "Check a form"},
        {
            "ko": "무엇이 잘못되었는지 모두 알려 드려요. 아무것도 저장하지 않아요.",
            "en": "Tells all that is wrong at once. Nothing is kept.",
        },
        (
            _ok(
                {"ko": "확인 결과", "en": "What is wrong, or where it would go."},
                ref("Checked"),
                {"ok": False, "faults": [_FAULT_EXAMPLE], "stream": None, "due": None},
            ),
            _no(400, "malformed"), _no(404, "service-unknown"), _no(413, "too-large"), _no(503, "busy"),
        ),
        (_ID, _LANG),
        Body({JSON: ref("Values")}, _VALUES_EXAMPLE),
    ),
    Operation(
        "post", "/api/v1/services/{id}/prepare", "prepareFiling", "apply",
        {"ko": "서명할 내용 만들기", "en": "Prepare a filing to sign"},
        {
            "ko": "스스로 서명하는 프로그램이 접수 내용을 만들 때 쓰는 값이에요. 아무것도 저장하지 않아요.",
            "en": "For programs that sign themselves: stream, minute, public and sealed fields, and for whom to seal. "
            "Nothing is kept.",
        },
        (
            _ok({"ko": "서명할 내용", "en": "What to sign."}, ref("Prepared")),
            _no(400, "malformed"), _no(404, "service-unknown"), _no(422, "a field is wrong"),
            _no(503, "office-key-unknown"),
        ),
        (_ID, _LANG),
        Body({JSON: ref("Values")}, _VALUES_EXAMPLE),
    ),
    Operation(
        "post", "/api/v1/services/{id}/requests", "fileRequest", "apply",
        {"ko": "대신 접수하기", "en": "File through the gateway"},
        {
            "ko": "서명할 수 없는 사람을 대신해 이 서버의 게이트웨이가 서명하고 접수해요. "
            "파일은 multipart/form-data로 함께 보내요. "
            "파일이 아닌 값은 항목마다, 또는 `values` 하나에 JSON으로 보내요.",
            "en": "This node's gateway signs and files for somebody who cannot. Files come with the form as "
            "multipart/form-data; its other values in a part each, or as JSON in one named `values`.",
        },
        (
            _ok({"ko": "접수된 자리", "en": "Where it stands."}, ref("Filed"), status=201),
            _no(400, "malformed, idempotency-key"), _no(403, "gateway-none, gateway-not-here"),
            _no(404, "service-unknown"), _no(409, "what the log decided"), _no(413, "too-large, file-too-large"),
            _no(415, "files-none, file-type, file-broken"), _no(422, "a field is wrong, idempotency-reused"),
            _no(503, "filing-open: send the same again"),
        ),
        (_ID, _LANG, _RETRY_KEY),
        Body({JSON: ref("Values"), FORM: {"type": "object"}, MULTIPART: {"type": "object"}}, _VALUES_EXAMPLE),
    ),
    Operation(
        "get", "/api/v1/services/{id}/requests", "requestOfKey", "apply",
        {"ko": "보낸 신청 확인하기", "en": "What became of a request"},
        {
            "ko": "그 Idempotency-Key로 보낸 신청이 어디에 접수되었는지, 왜 접수되지 않았는지, "
            "담당자가 무엇이라고 답했는지 알려 드려요.",
            "en": "Where the request stands that came under this Idempotency-Key, or why it does not, "
            "and what the office wrote.",
        },
        (
            _ok({"ko": "접수된 자리와 답변", "en": "Where it stands, and letters."}, ref("Followed")),
            _no(400, "idempotency-key"), _no(404, "case-unknown, service-unknown"), _no(409, "what the log decided"),
            _no(503, "filing-open"),
        ),
        (_ID, _LANG, _RETRY_KEY),
    ),
    Operation(
        "post", "/api/v1/services/{id}/requests/acts", "actOnRequest", "apply",
        {"ko": "보낸 신청에 더 하기", "en": "Go on with a request"},
        {
            "ko": "보완하기, 취하하기, 기한 연장에 동의하기, 만족도 남기기처럼 "
            "신청인이 할 수 있는 일을 게이트웨이가 대신 서명해요.",
            "en": "What the citizen may do (add what was asked for, withdraw, agree, rate) is signed for them.",
        },
        (
            _ok({"ko": "기록된 자리", "en": "Where the act stands."}, ref("Done"), status=201),
            _no(400, "malformed, idempotency-key"), _no(403, "forbidden"), _no(404, "case-unknown, service-unknown"),
            _no(409, "what the log decided"), _no(503, "send the same again"),
        ),
        (_ID, _LANG, _RETRY_KEY),
        Body({JSON: ref("Wish")}, {"action": "supplement", "text": "사진 속 맨홀이에요.", "lang": "ko"}),
    ),
    # ---- following
    Operation(
        "get", "/api/v1/cases/{stream}/{entry}", "getCase", "follow",
        {"ko": "신청 하나", "en": "A request"},
        {"ko": "공개 기록에 있는 그대로예요.", "en": "As the public log tells of it."},
        (_ok({"ko": "신청", "en": "The request."}, ref("Case")), _no(400), _no(404, "case-unknown, case-not-yet")),
        (_STREAM, _ENTRY, _LANG),
    ),
    Operation(
        "get", "/api/v1/cases", "casesOfKeys", "follow",
        {"ko": "열쇠로 신청 찾기", "en": "Requests by their keys"},
        {"ko": "접수할 때 만든 공개 키로 찾아요.", "en": "By the public keys that were made for them."},
        (_ok({"ko": "신청", "en": "The requests."}, ref("Cases")), _no(400, "keys-missing, key-invalid")),
        (
            Parameter("key", {"ko": "공개 키, 여럿도 돼요.", "en": "A key; may be repeated."}, KEY, required=True),
            _LANG,
        ),
    ),
    Operation(
        "get", "/api/v1/queue/{stream}", "getQueue", "follow",
        {"ko": "기관이 맡은 신청", "en": "What an office has"},
        {"ko": "기한 순서예요.", "en": "By deadline."},
        (_ok({"ko": "신청", "en": "A page of them."}, ref("Queue")), _no(400), _no(404, "stream-unknown")),
        (
            _STREAM,
            _query("open", "true, false, all", "true, false or all."),
            _query("state", "상태, 여럿도 돼요.", "A state; may be repeated."),
            _query("service", "서비스, 여럿도 돼요.", "A service; may be repeated."),
            _query("assigned", "맡은 사람의 키", "The key of who has taken it.", KEY),
            _query("overdue", "기한이 지났는지", "Whether it is late.", FLAG),
            _query("text", "찾을 말", "Words of public fields."),
            _query("after", "앞 쪽에서 받은 값", "The mark that the page before gave."),
            _query("limit", "한 쪽에 몇 건", "How many on a page.", NUMBER),
            _LANG,
        ),
    ),
    Operation(
        "get", "/api/v1/changes", "getChanges", "follow",
        {"ko": "최근에 달라진 것", "en": "What happened last"},
        {"ko": "공개된 처리 현황이에요.", "en": "Public states of requests, the newest first."},
        (_ok({"ko": "변화", "en": "The changes."}, ref("Changes")), _no(400), _no(404, "service-unknown")),
        (
            _query("office", "기관", "An office."), _query("service", "서비스", "A service."),
            _query("limit", "몇 건", "How many.", NUMBER), _LANG,
        ),
    ),
    Operation(
        "get", "/api/v1/statistics", "getStatistics", "follow",
        {"ko": "지킨 기한과 넘긴 기한", "en": "Deadlines kept and missed"},
        {"ko": "기록만으로 계산해요.", "en": "Computed from the logs alone."},
        (_ok({"ko": "통계", "en": "The figures."}, ref("Statistics")), _no(400, "month-invalid, month-order")),
        (_query("from", "달. 예: 2026-02", "A month such as 2026-02."), _query("to", "달", "A month."), _LANG),
    ),
    # ---- facilities
    Operation(
        "get", "/api/v1/facilities", "listFacilities", "facilities",
        {"ko": "모든 시설", "en": "All facilities"},
        {"ko": "예약할 수 있는 시설이에요.", "en": "What can be booked."},
        (_ok({"ko": "시설", "en": "The facilities."}, ref("Facilities")), _no(400)),
        (_query("gu", "자치구", "A gu, or `city`."), _query("kind", "종류", "A kind."), _LANG),
    ),
    Operation(
        "get", "/api/v1/facilities/{id}", "getFacility", "facilities",
        {"ko": "시설 하나", "en": "A facility"},
        {"ko": "여는 시간, 정원, 사용료예요.", "en": "Its opening hours, seats and fee."},
        (_ok({"ko": "시설", "en": "The facility."}, ref("Facility")), _no(404, "facility-unknown")),
        (_FACILITY, _LANG),
    ),
    Operation(
        "get", "/api/v1/facilities/{id}/slots", "getSlots", "facilities",
        {"ko": "시설의 시간표", "en": "The slots of a facility"},
        {"ko": "날마다 어떤 시간이 비었는지 알려 드려요.", "en": "Day by day, what is free."},
        (
            _ok({"ko": "시간표", "en": "The slots."}, ref("Slots")), _no(400, "day-invalid"),
            _no(404, "facility-unknown"),
        ),
        (
            _FACILITY, _query("from", "첫날. 예: 2026-05-01", "The first day, such as 2026-05-01."),
            _query("days", "며칠", "How many days.", NUMBER), _query("service", "서비스", "By which service."), _LANG,
        ),
    ),
    # ---- with a key of one's own
    Operation(
        "post", "/civic/file", "fileSubmission", "log",
        {"ko": "서명한 내용 접수하기", "en": "File what is signed"},
        {
            "ko": "서명한 내용의 바이트를 그대로 보내면 영수증(C2SP tlog-proof)을 받아요. "
            "같은 내용을 다시 보내도 두 번 접수되지 않아요.",
            "en": "The bytes of a submission, answered with its receipt (C2SP tlog-proof). "
            "The same again is never filed twice.",
        },
        (
            Answer(200, {"ko": "영수증", "en": "The receipt."}, TEXT, PLAIN),
            _declined(400), _declined(404), _declined(413), _declined(503),
        ),
        (),
        Body({BYTES: BINARY}),
    ),
    Operation(
        "get", "/civic/streams", "listStreams", "log",
        {"ko": "기록과 열쇠", "en": "The logs and their keys"},
        {"ko": "기록마다 맡은 서버와 키가 있어요.", "en": "Who holds each log, its key, and the offices' keys."},
        (_ok({"ko": "기록", "en": "The logs."}, ref("Streams")), _declined(503)),
    ),
    Operation(
        "get", "/civic/receipt/{stream}/{entry}", "getReceipt", "log",
        {"ko": "가장 새로운 영수증", "en": "The newest receipt"},
        {"ko": "증인이 서명했으면 그 서명이 있는 영수증이에요.", "en": "Witnessed, if it is."},
        (Answer(200, {"ko": "영수증", "en": "The receipt."}, TEXT, PLAIN), _no(404), _declined(503)),
        (_STREAM, _ENTRY),
    ),
    Operation(
        "post", "/civic/sealed/{stream}/{entry}", "readSealed", "log",
        {"ko": "잠긴 내용 받기", "en": "Read what is sealed"},
        {
            "ko": "접수할 때 만든 키나 담당 공무원의 키로 서명해 물어보면 잠긴 그대로 받아요.",
            "en": "For whoever signs with the key of the filing, or as an official who deals with it. "
            "It comes as it is sealed.",
        },
        (
            Answer(200, {"ko": "잠긴 내용", "en": "What is sealed."}, BINARY, BYTES),
            _declined(400), _no(404), _declined(409), _declined(503),
        ),
        (_STREAM, _ENTRY),
        Body(
            {JSON: ref("Reading")},
            {"key": "ab" * 32, "minute": 29_700_000, "sig": "cd" * 64},
        ),
    ),
    Operation(
        "get", "/civic/officials/{stream}", "listOfficials", "log",
        {"ko": "처리한 공무원의 키", "en": "Who acts for an office"},
        {"ko": "누구의 어떤 권한을 믿었는지 보여 줘요.", "en": "Whom the log's holder believed, by which grants."},
        (_ok({"ko": "공무원", "en": "The officials."}, ref("Officials")), _no(404), _declined(503)),
        (_STREAM,),
    ),
    Operation(
        "put", "/civic/attachment/{stream}/{name}", "putAttachment", "log",
        {"ko": "잠근 파일 올리기", "en": "Bring a locked file"},
        {
            "ko": "접수하기 전에 올려요. 접수하지 않으면 하루 뒤에 지워져요.",
            "en": "Before filing; gone after a day if no filing names it.",
        },
        (_ok({"ko": "보관됨", "en": "It is kept."}, ref("Attached")), _declined(400), _declined(413), _declined(503)),
        (_STREAM, _NAME, _SIGNED),
        Body({BYTES: BINARY}),
    ),
    Operation(
        "get", "/civic/attachment/{stream}/{name}", "getAttachment", "log",
        {"ko": "잠근 파일 받기", "en": "Fetch a locked file"},
        {"ko": "열쇠가 있어야 열려요.", "en": "Only whoever has its key can open it."},
        (Answer(200, {"ko": "파일", "en": "The locked bytes."}, BINARY, BYTES), _no(404)),
        (_STREAM, _NAME),
    ),
    # ---- Open311
    Operation(
        "get", "/open311/discovery.{format}", "open311Discovery", "open311",
        {"ko": "Open311 안내", "en": "Discovery"},
        {"ko": "Open311이 어디에 있는지 알려 줘요.", "en": "Where the interface is."},
        _open311(ref("Open311Discovery"), {"ko": "안내", "en": "The endpoints."}),
        (_FORMAT,),
    ),
    Operation(
        "get", "/open311/v2/discovery.{format}", "open311DiscoveryHere", "open311",
        {"ko": "Open311 안내", "en": "Discovery"},
        {"ko": "위와 같아요.", "en": "The same."},
        _open311(ref("Open311Discovery"), {"ko": "안내", "en": "The endpoints."}),
        (_FORMAT,),
    ),
    Operation(
        "get", "/open311/v2/services.{format}", "open311Services", "open311",
        {"ko": "신고할 수 있는 것", "en": "What can be reported"},
        {"ko": "GET Service List.", "en": "GET Service List."},
        _open311(listed(ref("Open311Service")), {"ko": "서비스", "en": "The services."}),
        (_FORMAT, _JURISDICTION, _LANG),
    ),
    Operation(
        "get", "/open311/v2/services/{code}.{format}", "open311Definition", "open311",
        {"ko": "신고할 때 묻는 것", "en": "What is asked for"},
        {"ko": "GET Service Definition.", "en": "GET Service Definition."},
        _open311(ref("Open311Definition"), {"ko": "항목", "en": "The attributes."}),
        (
            Parameter("code", {"ko": "service_code", "en": "A service_code."}, where="path", required=True),
            _FORMAT, _JURISDICTION, _LANG,
        ),
    ),
    Operation(
        "post", "/open311/v2/requests.{format}", "open311Report", "open311",
        {"ko": "신고하기", "en": "Report"},
        {
            "ko": "POST Service Request. service_code, lat와 long(또는 잘 알려진 장소나 자치구의 address_string), "
            "attribute[이름], description을 보내요. api_key는 없어도 돼요.",
            "en": "POST Service Request: service_code, lat and long (or an address_string with a well-known place or a "
            "gu), attribute[code], description. An api_key is not needed.",
        },
        _open311(
            listed(ref("Open311Made")), {"ko": "접수 번호", "en": "The number, or a token."}, 201,
            [{"service_request_id": "jongno-4711", "service_notice": None, "account_id": None}],
        ),
        (_FORMAT, _LANG, _RETRY_KEY),
        Body({FORM: {"type": "object", "additionalProperties": True}}),
    ),
    Operation(
        "get", "/open311/v2/requests.{format}", "open311Requests", "open311",
        {"ko": "신고 목록", "en": "Reports"},
        {
            "ko": f"GET Service Requests. 한 번에 {OPEN311_SPAN_DAYS}일까지 볼 수 있어요.",
            "en": f"GET Service Requests, of {OPEN311_SPAN_DAYS} days at most.",
        },
        _open311(listed(ref("Open311Request")), {"ko": "신고", "en": "The reports."}),
        (
            _FORMAT,
            _query(
                "service_request_id", f"번호, 쉼표로 {OPEN311_IDS_MAX}개까지",
                f"Numbers, with commas; {OPEN311_IDS_MAX} at most.",
            ),
            _query("service_code", "종류, 쉼표로", "Codes, with commas."),
            _query("start_date", "이때부터", "From then on.", {"type": "string", "format": "date-time"}),
            _query("end_date", "이때까지", "Until then.", {"type": "string", "format": "date-time"}),
            _query("status", "open, closed", "open or closed, with commas."),
            _JURISDICTION, _LANG,
        ),
    ),
    Operation(
        "get", "/open311/v2/requests/{id}.{format}", "open311Request", "open311",
        {"ko": "신고 하나", "en": "A report"},
        {"ko": "GET Service Request.", "en": "GET Service Request."},
        _open311(listed(ref("Open311Request")), {"ko": "신고", "en": "The report."}),
        (
            Parameter("id", {"ko": "service_request_id", "en": "A service_request_id."}, where="path", required=True),
            _FORMAT, _JURISDICTION, _LANG,
        ),
    ),
    Operation(
        "get", "/open311/v2/tokens/{token}.{format}", "open311Token", "open311",
        {"ko": "token으로 번호 찾기", "en": "The number of a token"},
        {"ko": "GET service_request_id from a token.", "en": "GET service_request_id from a token."},
        _open311(listed(ref("Open311Made")), {"ko": "번호", "en": "The number, once it has one."}),
        (Parameter("token", {"ko": "token", "en": "A token."}, where="path", required=True), _FORMAT, _LANG),
    ),
    # ---- this interface
    Operation(
        "get", "/api/v1/openapi.json", "getDescription", "about",
        {"ko": "이 설명 (OpenAPI 3.1)", "en": "This description (OpenAPI 3.1)"},
        {"ko": "/api 쪽은 같은 내용을 사람이 읽기 좋게 보여 줘요.", "en": "The page /api shows the same to people."},
        (_ok({"ko": "설명", "en": "The description."}, {"type": "object"}),),
        (_LANG,),
    ),
)  # fmt: skip
