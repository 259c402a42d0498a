"""Pages for whoever files without script and so has no key of their own: filed, refused, followed to the end.

    POST /api/v1/services/<id>/requests   the form of a page -> where it stands, and the code to follow it with
    GET, POST /<language>/follow          the code -> the office's letters, and what the citizen may do next

The code is the `Idempotency-Key` that the request came under. It is typed into a form and sent in a body, never in an
address: addresses stand in histories and logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from p2pworld.services.reasons import refusal
from p2pworld.services.replies import Told, told, told_of_refusal
from p2pworld.services.workflow import Action
from shard_node.execute import now
from shard_node.services.going_on import Followed, Wish
from shard_node.storage.journal import StorageFailed
from shard_node.web.bodies import read_form
from shard_node.web.page_speech import Speech
from shard_node.web.telling import LANGUAGES, Unread, idempotency_key_of, status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from p2pworld.services.declaration import Service
    from p2pworld.world.places import Words
    from shard_node.services.gateway import Filed
    from shard_node.services.going_on import GoingOn
    from shard_node.services.host import ServiceHost
    from shard_node.web.pages import Pages

__all__ = ["FollowPages", "follow_routes"]

# what a citizen may do by a form of these pages, and what it asks for
_ASKS: Final[Mapping[Action, str]] = {
    Action.SUPPLEMENT: "text",
    Action.WITHDRAW: "",
    Action.CONSENT: "",
    Action.RATE: "stars",
    Action.REOPEN: "text",
}
_WORDS: Final[Mapping[str, Words]] = {
    "filed": {"ko": "접수되었어요", "en": "Filed"},
    "filed_lead": {
        "ko": "접수 번호와 확인 코드를 적어 두세요. 확인 코드가 있어야 답변을 읽고 이어서 신청할 수 있어요.",
        "en": "Please note the number and the code. Only with the code can you read the answer and go on.",
    },
    "number": {"ko": "접수 번호", "en": "Number"},
    "code": {"ko": "확인 코드", "en": "Code"},
    "code_secret": {"ko": "다른 사람에게 알려 주지 마세요.", "en": "Tell it to nobody."},
    "refused": {"ko": "접수되지 않았어요", "en": "This was not filed"},
    "back": {"ko": "뒤로 가면 쓴 내용이 남아 있어요.", "en": "Go back: what you wrote is still there."},
    "form": {"ko": "신청서", "en": "The form"},
    "follow": {"ko": "신청 확인하기", "en": "Follow a request"},
    "follow_lead": {
        "ko": "대신 접수된 신청의 확인 코드를 적어 주세요.",
        "en": "Please type the code of a request that was filed for you.",
    },
    "open": {"ko": "확인하기", "en": "Look"},
    "public": {"ko": "공개된 처리 과정 보기", "en": "See its public course"},
    "letters": {"ko": "주고받은 글", "en": "Letters"},
    "no_letters": {"ko": "아직 없어요.", "en": "None yet."},
    "unread": {"ko": "지금은 읽을 수 없어요.", "en": "It cannot be read just now."},
    "office": {"ko": "담당자", "en": "the office"},
    "you": {"ko": "신청인", "en": "you"},
    "next": {"ko": "할 수 있는 일", "en": "What you can do"},
    "nothing": {"ko": "지금은 없어요.", "en": "Nothing at the moment."},
    "text": {"ko": "내용", "en": "Text"},
    "stars": {"ko": "별점 (1~5)", "en": "Stars (1 to 5)"},
    "done": {"ko": "처리했어요.", "en": "Done."},
}  # fmt: skip


class FollowPages:
    """The pages over one node, drawn as the others are."""

    def __init__(self, host: ServiceHost, going_on: GoingOn, pages: Pages) -> None:
        self._host, self._going_on, self._pages = host, going_on, pages

    def filed(self, request: Request, language: str, service: Service, found: Filed, code: str) -> Response:
        """A form was filed: its number, and the code."""
        return self._draw("filed.html", request, language, service, 201, found=found, code=code, wrong=())

    def refused(self, request: Request, language: str, service: Service, wrong: Sequence[Told]) -> Response:
        """A form was not filed."""
        status = status_of(wrong[0])
        return self._draw("filed.html", request, language, service, status, found=None, code="", wrong=wrong)

    def _draw(
        self, name: str, request: Request, language: str, service: Service, status: int, **values: object
    ) -> Response:
        speech = Speech(language)
        answer = self._pages.render(
            name,
            request,
            speech,
            "requests",
            status,
            path=f"/services/{service.id}",
            words=_WORDS,
            service=service,
            sentence=_sentence(language),
            **values,
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def follow(self, request: Request, language: str) -> Response:
        """The form for the code; with one, the request it stands for, after what was wished has been done."""
        wrong: tuple[Told, ...] = ()
        followed: Followed | None = None
        code, done = "", False
        if request.method == "POST":
            try:
                code, wish = await self._sent(request, language)
                if wish is not None:
                    outcome = await self._going_on.act(code, wish)
                    wrong, done = (outcome, False) if isinstance(outcome, tuple) else ((), True)
                found = await self._going_on.follow(code)
                if isinstance(found, Followed):
                    followed = found
                else:
                    wrong = (found or told_of_refusal(refusal("case-unknown")),)
            except Unread as unread:
                wrong = (unread.said,)
            except StorageFailed:
                wrong = (told("filing-open"),)
        answer = self._pages.render(
            "follow.html",
            request,
            Speech(language),
            "requests",
            status_of(wrong[0]) if wrong else 200,
            words=_WORDS,
            sentence=_sentence(language),
            wrong=wrong,
            done=done,
            code=code,
            followed=followed,
            service=self._host.catalogue.services.get(followed.service) if followed else None,
            may=[(action, _ASKS[action]) for action in followed.may if action in _ASKS] if followed else [],
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    async def _sent(self, request: Request, language: str) -> tuple[str, Wish | None]:
        """Raises Unread."""
        address = request.client.host if request.client else ""
        if not self._host.doors.may_file(address, now().boot_s):
            raise Unread(told("busy"))
        texts = dict((await read_form(request)).texts)
        if not texts.get("code", "").strip():
            raise Unread(told("idempotency-key"))
        code = idempotency_key_of(texts["code"])
        if "action" not in texts:
            return code, None
        stars = texts.get("stars", "")
        if texts["action"] not in {action.value for action in _ASKS} or (stars and not stars.isdecimal()):
            raise Unread(told("malformed"))
        amount = int(stars[:2] or 0)
        return code, Wish(Action(texts["action"]), amount, texts.get("text", ""), language)


def _sentence(language: str) -> Callable[[Told], str]:
    return lambda said: said.sentence(language)


def follow_routes(pages: FollowPages) -> list[Route]:
    """The page in each language."""

    def of(language: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return await pages.follow(request, language)

        return answer

    return [Route(f"/{language}/follow", of(language), methods=["GET", "POST"]) for language in LANGUAGES]
