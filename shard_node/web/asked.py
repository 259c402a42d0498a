"""What a request's address asks for, checked: each reader returns what fits, or raises `Asking` with a code to answer.

The answer to what does not fit is JSON with that code and a sentence, in the language that was asked for (Korean if
none was). So whatever is odd in an address ends here.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, Response

from p2pworld.limits import SERVICE_KEYS_MAX, SERVICE_PAGE_MAX, SERVICE_SLOT_DAYS_MAX
from p2pworld.services.working_time import day_of
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from starlette.requests import Request

__all__ = [
    "OPEN",
    "Asking",
    "answering",
    "days",
    "first_day",
    "flag",
    "key",
    "keys",
    "language",
    "limit",
    "months",
    "number",
    "one_of",
    "text",
]

OPEN: Final = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
LANGUAGES: Final = ("ko", "en", "ja", "zh")
DAYS_BACK_MAX: Final = 366
DAYS_AHEAD_MAX: Final = 732
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_MONTH: Final = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

# code: status, English, Korean; {0} is what the reader tells
_SENTENCES: Final[dict[str, tuple[int, str, str]]] = {
    "language-unknown": (400, "`lang` is one of ko, en, ja, zh.", "`lang`은 ko, en, ja, zh 가운데 하나예요."),
    "stream-unknown": (404, "This city has no office called that.", "이런 이름의 접수처는 없어요."),
    "service-unknown": (404, "There is no such service.", "이런 서비스는 없어요."),
    "facility-unknown": (404, "There is no such facility.", "이런 시설은 없어요."),
    "case-unknown": (404, "No request has this number.", "이 번호의 신청은 없어요."),
    "case-not-yet": (
        404,
        "This entry has not been read here yet. Try again in a moment.",
        "아직 여기에서 읽지 못한 번호예요. 잠시 후 다시 시도해 주세요.",
    ),
    "number-invalid": (400, "`{0}` is a number of at least 0.", "`{0}`에는 0 이상의 숫자를 적어 주세요."),
    "number-range": (400, "`{0}` is a number in the range {1}.", "`{0}`에는 {1} 범위의 숫자를 적어 주세요."),
    "flag-invalid": (400, "`{0}` is true or false.", "`{0}`에는 true나 false를 적어 주세요."),
    "choice-unknown": (
        400,
        "`{0}` has a value that is not known: {1}.",
        "`{0}`의 값 {1}은(는) 알 수 없어요.",
    ),
    "key-invalid": (
        400,
        "`{0}` is a key of 64 hexadecimal digits in small letters.",
        "`{0}`에는 16진수 64자리 키를 적어 주세요.",
    ),
    "keys-missing": (400, "Name at least one `key`.", "`key`를 하나 이상 적어 주세요."),
    "keys-too-many": (
        400,
        f"At most {SERVICE_KEYS_MAX} keys can be asked for at once.",
        f"키는 한 번에 {SERVICE_KEYS_MAX}개까지 물어볼 수 있어요.",
    ),
    "day-invalid": (
        400,
        "`{0}` is a day such as 2026-05-01.",
        "`{0}`에는 2026-05-01 같은 날짜를 적어 주세요.",
    ),
    "day-range": (
        400,
        f"`{{0}}` is at most {DAYS_BACK_MAX} days back and {DAYS_AHEAD_MAX} days ahead.",
        f"`{{0}}`은(는) {DAYS_BACK_MAX}일 전부터 {DAYS_AHEAD_MAX}일 뒤까지 적을 수 있어요.",
    ),
    "month-invalid": (400, "`{0}` is a month such as 2026-05.", "`{0}`에는 2026-05 같은 달을 적어 주세요."),
    "month-order": (400, "`to` is a month before `from`.", "`to`가 `from`보다 앞선 달이에요."),
    "text-too-long": (400, "`{0}` has at most {1} characters.", "`{0}`은(는) {1}자까지 쓸 수 있어요."),
    "after-invalid": (
        400,
        "`after` is a mark that an earlier page gave.",
        "`after`에는 앞 쪽에서 받은 값을 적어 주세요.",
    ),
    "index-down": (
        503,
        "This cannot be read just now. Try again in a moment.",
        "지금은 읽을 수 없어요. 잠시 후 다시 시도해 주세요.",
    ),
}


class Asking(Exception):
    """An address that asks for what there is not; `code` is one of the sentences', `told` goes into it."""

    def __init__(self, code: str, *told: object) -> None:
        super().__init__(code)
        self.code, self.told = code, told


def answering(respond: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The same, which also answers what does not fit, and an index that cannot be read."""

    @wraps(respond)
    async def answered(request: Request) -> Response:
        try:
            return await respond(request)
        except Asking as asking:
            return _refused(request, asking.code, *asking.told)
        except StorageFailed:
            return _refused(request, "index-down")

    return answered


def _refused(request: Request, code: str, *told: object) -> JSONResponse:
    status, en, ko = _SENTENCES[code]
    sentence = (en if request.query_params.get("lang", "ko") != "ko" else ko).format(*told)
    headers = OPEN | ({"Retry-After": "1"} if status == 503 or code == "case-not-yet" else {})
    return JSONResponse({"error": code, "sentence": sentence}, status_code=status, headers=headers)


# ---- readers


def language(request: Request) -> str:
    """The language asked for; Korean if none is."""
    return one_of(request, "lang", LANGUAGES, "language-unknown") or "ko"


def one_of(request: Request, name: str, known: Collection[str], code: str = "choice-unknown") -> str:
    """One of these values, or nothing."""
    value = request.query_params.get(name, "")
    if value and value not in known:
        raise Asking(code, name, value[:40])
    return value


def number(text: str, name: str, least: int = 0, most: int = 2**53 - 1) -> int:
    """A number in this range, both ends in it."""
    if not _NUMBER.fullmatch(text):
        raise Asking("number-invalid", name)
    if not least <= int(text) <= most:
        raise Asking("number-range", name, f"{least}-{most}")
    return int(text)


def limit(request: Request) -> int:
    """How many on a page."""
    return number(request.query_params.get("limit", str(SERVICE_PAGE_MAX)), "limit", 1, SERVICE_PAGE_MAX)


def flag(request: Request, name: str, default: bool | None) -> bool | None:
    """true or false."""
    known = {"": default, "true": True, "false": False}
    value = request.query_params.get(name, "")
    if value not in known:
        raise Asking("flag-invalid", name)
    return known[value]


def key(text: str, name: str) -> bytes:
    """A public key."""
    if not _KEY.fullmatch(text):
        raise Asking("key-invalid", name)
    return bytes.fromhex(text)


def keys(request: Request) -> tuple[bytes, ...]:
    """All keys that are named, each once."""
    found = tuple(dict.fromkeys(key(text, "key") for text in request.query_params.getlist("key")))
    if not found:
        raise Asking("keys-missing")
    if len(found) > SERVICE_KEYS_MAX:
        raise Asking("keys-too-many")
    return found


def first_day(request: Request, minute: int) -> date:
    """The day in `from`, today in Seoul if there is none."""
    today, text = day_of(minute), request.query_params.get("from", "")
    if not text:
        return today
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise Asking("day-invalid", "from")
    if not today - timedelta(days=DAYS_BACK_MAX) <= day <= today + timedelta(days=DAYS_AHEAD_MAX):
        raise Asking("day-range", "from")
    return day


def days(request: Request) -> int:
    """How many days."""
    return number(request.query_params.get("days", "7"), "days", 1, SERVICE_SLOT_DAYS_MAX)


def months(request: Request) -> tuple[str, str]:
    """The months `from` and `to`, empty where there is no bound."""
    first, last = (request.query_params.get(name, "") for name in ("from", "to"))
    for name, value in (("from", first), ("to", last)):
        if value and not _MONTH.fullmatch(value):
            raise Asking("month-invalid", name)
    if first and last and last < first:
        raise Asking("month-order")
    return first, last


def text(request: Request, name: str, most: int) -> str:
    """Words to look for."""
    value = request.query_params.get(name, "")
    if len(value) > most:
        raise Asking("text-too-long", name, most)
    return value
