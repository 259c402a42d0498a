"""An attestor over HTTP, for wallets in browsers and on command lines, for officials, and for nodes.

    GET  /attestor       who it is, and what it can do
    POST /begin          where to log in
    GET  /callback       whoever has logged in comes back here, and is sent on to the page they came from
    POST /device         registers a device with a code
    POST /claims         claims for a device
    POST /devices        the devices of one person
    POST /lost           one of them is lost
    GET  /withdrawn      the keys whose claims are not to be believed any more (canonical bytes, for nodes)
    POST /desk/attest    an official has seen somebody: a code
    GET  /metrics

Any page may ask: nothing here goes by cookies, everything is signed. `docs/protocol.md` has each field. What blocks
is done in a worker thread, one at a time. How often one address, one device and all together may ask is bounded.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import time
from html import escape
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from p2pworld.errors import Refusal
from p2pworld.limits import (
    ATTESTOR_BODY_BYTES_MAX,
    ATTESTOR_BURST_ADDRESS,
    ATTESTOR_CODES_BURST,
    ATTESTOR_CODES_PER_S,
    ATTESTOR_PER_S_ADDRESS,
    CLAIM_KEYS_BURST,
    CLAIM_KEYS_PER_S,
    CLAIM_WANTS_MAX,
    DOOR_ADDRESSES_MAX,
)
from p2pworld.services.attesting import ATTESTOR_REASONS
from p2pworld.world.bucket import Bucket
from shard_node.attestor.desk import Want, no
from shard_node.attestor.memory import MemoryFailed
from shard_node.attestor.oidc import ProviderDown, TokenWrong

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from shard_node.attestor.desk import AttestorDesk
    from shard_node.attestor.oidc import Provider
    from shard_node.attestor.settings import AttestorConfig

__all__ = ["attestor_app"]

log = logging.getLogger(__name__)

BODY_S: Final = 10.0
WAITING_MAX: Final = 256  # requests at once, of 16 kB each
AGAIN_S: Final = "5"
OPEN: Final = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
_PREFLIGHT: Final = OPEN | {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "content-type",
    "Access-Control-Max-Age": "86400",
}
_STATUS: Final = {
    "attestor-busy": 429,
    "attestor-down": 503,
    "attestor-provider": 503,
    "attestor-way": 404,
    "attestor-code": 403,
    "attestor-device": 403,
    "attestor-lost": 403,
    "attestor-not-yours": 403,
    "attestor-official": 403,
    "attestor-signature": 403,
}

_SHOWN: Final = """<!doctype html>
<html lang="ko"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>확인 번호 · Your code</title>
<h1>확인 번호</h1>
<p>로그인을 시작한 프로그램에 아래 번호를 붙여 넣어 주세요. 10분 동안 쓸 수 있어요.</p>
<p lang="en">Please paste this code into the program you began with. It holds for ten minutes.</p>
<p><code id="code">{code}</code></p>
</html>
"""
_SHOWN_POLICY: Final = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}

T = TypeVar("T")


class _Malformed(Exception):
    """A field is missing, or is not of its kind."""


class _Pace:
    """So many a second of each; those that asked the longest ago are forgotten."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._buckets: dict[object, Bucket] = {}

    def may(self, who: object, now_s: float, count: int = 1) -> bool:
        if who is None:
            return True
        bucket = self._buckets.pop(who, None) or Bucket(self._burst, now_s)
        while len(self._buckets) >= DOOR_ADDRESSES_MAX:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[who] = bucket
        return bucket.take(self._per_s, self._burst, now_s, count)


def attestor_app(
    config: AttestorConfig,
    desk: AttestorDesk,
    provider: Provider | None,
    now_s: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The application over one desk, and the provider that people log in at."""
    turn = trio.CapacityLimiter(1)
    addresses = _Pace(ATTESTOR_PER_S_ADDRESS, ATTESTOR_BURST_ADDRESS)
    codes = _Pace(ATTESTOR_CODES_PER_S, ATTESTOR_CODES_BURST)
    devices = _Pace(CLAIM_KEYS_PER_S, CLAIM_KEYS_BURST)

    async def told(work: Callable[[], T | Refusal]) -> T | Refusal:
        """What the desk says; what it cannot remember it does not say."""
        if turn.statistics().tasks_waiting >= WAITING_MAX:
            return no("attestor-busy")
        try:
            return await trio.to_thread.run_sync(work, limiter=turn)
        except MemoryFailed as error:
            log.error("nothing is attested: %s", error)
            return no("attestor-down")

    def answer(found: Refusal | Mapping[str, Any] | bytes) -> Response:
        if isinstance(found, Refusal):
            desk.counters[found.reason] += 1
            words = ATTESTOR_REASONS[found.reason]
            said = {
                "reason": found.reason,
                "sentence": {"ko": words.ko, "en": words.en},
                "retry": words.again,
            }
            headers = OPEN | ({"Retry-After": AGAIN_S} if words.again else {})
            return JSONResponse(said, _STATUS.get(found.reason, 400), headers)
        desk.counters["answered"] += 1
        if isinstance(found, bytes):
            return Response(found, media_type="application/octet-stream", headers=OPEN)
        return JSONResponse(found, headers=OPEN)

    async def asked(request: Request) -> dict[str, Any] | Refusal:
        """The fields of a request, if whoever asks may ask now."""
        if not addresses.may(_address(request, config.forwarded), now_s()):
            return no("attestor-busy")
        body = b""
        try:
            with trio.move_on_after(BODY_S):
                async for part in request.stream():
                    body += part
                    if len(body) > ATTESTOR_BODY_BYTES_MAX:
                        return no("attestor-malformed")
        except ClientDisconnect:
            return no("attestor-malformed")
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            return no("attestor-malformed")
        return fields if isinstance(fields, dict) else no("attestor-malformed")

    async def about(request: Request) -> Response:
        ways = [way for way, there in (("login", config.oidc), ("desk", config.desk)) if there]
        return answer(
            {
                "v": 1,
                "key": desk.key.hex(),
                "name": dict(config.name),
                "ways": ways,
                "claim_minutes": config.claim_minutes,
                "device_minutes": config.device_minutes,
                "gu": bool(config.desk or (config.oidc and config.oidc.gu_claim)),
            }
        )

    async def begin(fields: dict[str, Any]) -> Refusal | Mapping[str, Any]:
        found = desk.begin(
            _bytes(fields, "device", 32),
            _text(fields, "return", 2_000) if "return" in fields else "",
            _text(fields, "challenge", 43),
        )
        if isinstance(found, Refusal) or provider is None:
            return found if isinstance(found, Refusal) else no("attestor-way")
        try:
            return {"url": await provider.login_url(found.state, found.nonce, found.verifier)}
        except ProviderDown as error:
            log.error("nobody can log in: %s", error)
            return no("attestor-provider")

    async def callback(request: Request) -> Response:
        if not addresses.may(_address(request, config.forwarded), now_s()):
            return answer(no("attestor-busy"))
        said = request.query_params
        login = desk.came_back(said.get("state", ""))
        if login is None or provider is None:
            return answer(no("attestor-login"))  # nobody knows where to send them
        found: str | Refusal = no("attestor-login")
        if "code" in said and "error" not in said:
            oidc = config.oidc
            wanted = (oidc.subject_claim, oidc.gu_claim) if oidc else ()
            try:
                claims = await provider.claims(
                    said["code"], login.nonce, login.verifier, said.get("iss"), wanted
                )
                found = desk.logged_in(login, claims)
            except ProviderDown as error:
                log.error("a login could not be ended: %s", error)
                found = no("attestor-provider")
            except TokenWrong as error:
                log.error("a login is not believed: %s", error)
                found = no("attestor-token")
        name, value = ("error", found.reason) if isinstance(found, Refusal) else ("code", found)
        desk.counters[f"login {name}"] += 1
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        if login.back:
            return RedirectResponse(f"{login.back}#attestor-{name}={value}", 303, headers)
        if isinstance(found, Refusal):
            return answer(found)
        return HTMLResponse(_SHOWN.format(code=escape(found)), headers=headers | _SHOWN_POLICY)

    async def device(fields: dict[str, Any]) -> Refusal | Mapping[str, Any]:
        if not codes.may("codes", now_s()):
            return no("attestor-busy")
        certificate = fields.get("certificate")
        if certificate is not None:
            certificate = _text(fields, "certificate", 1_000)
        verifier = _text(fields, "verifier", 128) if "verifier" in fields else ""
        arguments = (_text(fields, "code", 128), verifier, _bytes(fields, "device", 32), certificate)
        minute, sig = _minute(fields), _bytes(fields, "sig", 64)

        def work() -> Mapping[str, Any] | Refusal:
            known = desk.register(*arguments, minute, sig)
            if isinstance(known, Refusal):
                return known
            return {"until": known.until, "gu": desk.gu_of(known)}

        return await told(work)

    async def claims(fields: dict[str, Any]) -> Refusal | Mapping[str, Any]:
        wants = [
            Want(_text(one, "purpose", 80), _bytes(one, "key", 32), _bytes(one, "sig", 64))
            for one in _list(fields, "wants", CLAIM_WANTS_MAX)
        ]
        one, minute, sig = _bytes(fields, "device", 32), _minute(fields), _bytes(fields, "sig", 64)
        if not devices.may(one, now_s(), len(wants)):
            return no("attestor-claims")
        made = await told(lambda: desk.claims(one, minute, wants, sig))
        return made if isinstance(made, Refusal) else {"claims": [claim.to_bytes().hex() for claim in made]}

    async def listed(fields: dict[str, Any]) -> Refusal | Mapping[str, Any]:
        one, minute, sig = _bytes(fields, "device", 32), _minute(fields), _bytes(fields, "sig", 64)
        found = await told(lambda: desk.devices(one, minute, sig))
        if isinstance(found, Refusal):
            return found
        return {
            "devices": [
                {
                    "device": each.device.hex(),
                    "since": each.since,
                    "until": each.until,
                    "lost": each.lost,
                    "this": each.device == one,
                }
                for each in found
            ]
        }

    async def lost(fields: dict[str, Any]) -> Refusal | Mapping[str, Any]:
        if "statement" in fields:
            statement = _text(fields, "statement", 1_000)
            return await told(lambda: desk.lose_by_root(statement)) or {}
        one, other = _bytes(fields, "device", 32), _bytes(fields, "lost", 32)
        minute, sig = _minute(fields), _bytes(fields, "sig", 64)
        return await told(lambda: desk.lose(one, other, minute, sig)) or {}

    async def withdrawn(request: Request) -> Response:
        found = await told(desk.withdrawn)
        return answer(found if isinstance(found, Refusal) else found.to_bytes())

    async def attest(fields: dict[str, Any]) -> Refusal | Mapping[str, Any]:
        grants = [_as_text(one, 10_000) for one in _list(fields, "grants", 8)]
        gu = _text(fields, "gu", 20) if fields.get("gu") else ""
        found = desk.seen(
            _bytes(fields, "official", 32),
            grants,
            _text(fields, "number", 255),
            gu,
            _minute(fields),
            _bytes(fields, "sig", 64),
        )
        if isinstance(found, Refusal):
            return found
        return {"code": f"{found[:5]}-{found[5:]}"}

    async def metrics(request: Request) -> Response:
        lines = ["# TYPE p2pworld_attestor_answers_total counter"]
        lines += [
            f'p2pworld_attestor_answers_total{{answer="{name}"}} {count}'
            for name, count in sorted(desk.counters.items())
        ]
        return PlainTextResponse("\n".join(lines) + "\n")

    def post(path: str, handle: Callable[[dict[str, Any]], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=_PREFLIGHT)
            fields = await asked(request)
            if isinstance(fields, Refusal):
                return answer(fields)
            try:
                return answer(await handle(fields))
            except _Malformed:
                return answer(no("attestor-malformed"))

        return Route(path, endpoint, methods=["POST", "OPTIONS"])

    return Starlette(
        routes=[
            Route("/attestor", about),
            post("/begin", begin),
            Route("/callback", callback),
            post("/device", device),
            post("/claims", claims),
            post("/devices", listed),
            post("/lost", lost),
            Route("/withdrawn", withdrawn),
            post("/desk/attest", attest),
            Route("/metrics", metrics),
        ]
    )


# ---- fields


def _address(request: Request, forwarded: bool) -> str | None:
    """What counts as one asker: an address, or an IPv6 customer's /64; None if it is this machine, which is not
    limited."""
    text = request.client.host if request.client else ""
    if forwarded:
        text = request.headers.get("x-forwarded-for", text).rpartition(",")[2].strip()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if address.is_loopback:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _as_text(value: object, most: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise _Malformed
    return value


def _text(fields: Mapping[str, object], name: str, most: int) -> str:
    return _as_text(fields.get(name), most)


def _bytes(fields: Mapping[str, object], name: str, length: int) -> bytes:
    text = _text(fields, name, 2 * length)
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise _Malformed from None
    if len(data) != length or data.hex() != text:
        raise _Malformed
    return data


def _minute(fields: Mapping[str, object]) -> int:
    value = fields.get("minute")
    if type(value) is not int or not 0 <= value < 2**32:
        raise _Malformed
    return value


def _list(fields: Mapping[str, object], name: str, most: int) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list) or not 0 < len(value) <= most:
        raise _Malformed
    if name == "wants" and not all(isinstance(one, dict) for one in value):
        raise _Malformed
    return value
