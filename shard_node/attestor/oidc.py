"""Logging in at an OpenID provider: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).

The provider says of itself where it is asked and by which keys it signs (Discovery 1.0). Somebody is sent there with a
`state` and a `nonce` of this one login, and comes back with a code; the code is exchanged for an id_token, whose
signature, issuer, audience, times and nonce are verified. What is not in it but wanted is asked of the provider with
the access token, and believed if it speaks of the same person. Nothing of this is kept.

Signatures by a shared secret (HS256 and its like) are not taken: whoever can ask for tokens could make them.
"""

from __future__ import annotations

import base64
import json
import logging
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

import jwt
import trio

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import ATTESTOR_KEYS_S, ATTESTOR_PROVIDER_BYTES_MAX, ATTESTOR_PROVIDER_S
from p2pworld.services.attesting import challenge_of
from shard_node.http_client import LOST, fetch, why

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from shard_node.attestor.settings import OidcConfig

__all__ = ["Provider", "ProviderDown", "TokenWrong", "claim_in"]

log = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_S: Final = 60  # between its clock and ours
DISCOVERED_S: Final = 3_600.0
_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_FORM: Final = (b"content-type", b"application/x-www-form-urlencoded")
_JSON: Final = (b"accept", b"application/json")


class ProviderDown(Exception):
    """The provider does not answer as one; it may later."""


class TokenWrong(Exception):
    """What the provider, or whoever says to come from it, says cannot be believed."""


class Provider:
    """One provider, for one client of it; `redirect` is where it sends people back to."""

    def __init__(self, config: OidcConfig, redirect: str, tls: ssl.SSLContext) -> None:
        self._config, self._redirect, self._tls = config, redirect, tls
        self._about: dict[str, Any] = {}
        self._about_at_s = float("-inf")
        self._keys: list[jwt.PyJWK] = []
        self._keys_at_s = float("-inf")
        self._turn = trio.Lock()

    async def login_url(self, state: str, nonce: str, verifier: str) -> str:
        """Where somebody is sent to log in.

        Raises:
            ProviderDown: it does not say where.
        """
        about = await self._discovered()
        asked = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": self._redirect,
            "scope": self._config.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        url = self._url(about, "authorization_endpoint")
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(asked)}"

    async def claims(
        self, code: str, nonce: str, verifier: str, issuer: str | None, wanted: Sequence[str]
    ) -> Mapping[str, object]:
        """What the provider says of whoever came back with this code; those `wanted`, wherever it says them.

        `issuer` is who the answer says to be from (RFC 9207), where it does.

        Raises:
            ProviderDown: it cannot be asked.
            TokenWrong: it does not say it, or what it says cannot be believed.
        """
        if issuer is not None and issuer != self._config.issuer:
            raise TokenWrong(f"the answer is from {issuer[:100]!r}")
        about = await self._discovered()
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": verifier,
        }
        headers = [_FORM, _JSON]
        if not self._config.client_secret:
            asked["client_id"] = self._config.client_id
        elif "client_secret_basic" in about.get(
            "token_endpoint_auth_methods_supported", ["client_secret_basic"]
        ):
            pair = f"{quote(self._config.client_id, safe='')}:{quote(self._config.client_secret, safe='')}"
            headers.append((b"authorization", b"Basic " + base64.b64encode(pair.encode())))
        else:
            asked |= {"client_id": self._config.client_id, "client_secret": self._config.client_secret}
        url = self._url(about, "token_endpoint")
        given = await self._ask(url, "POST", urlencode(asked).encode(), headers, refused=TokenWrong)
        token, access = given.get("id_token"), given.get("access_token")
        if not isinstance(token, str):
            raise TokenWrong("there is no id_token in the answer")
        said = await self._verified(token, nonce)
        missing = [name for name in wanted if name and claim_in(said, name) is None]
        if missing and isinstance(access, str) and isinstance(about.get("userinfo_endpoint"), str):
            said = await self._more(self._url(about, "userinfo_endpoint"), access, said)
        return said

    # ---- pieces

    async def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        """What is in an id_token that is for us, of now, and of this login."""
        try:
            head = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise TokenWrong(f"this is no id_token: {error}") from None
        algorithm = head.get("alg")
        if algorithm not in ALGORITHMS:
            raise TokenWrong(f"the id_token is signed by {str(algorithm)[:20]!r}")
        key = await self._key(head.get("kid"), str(algorithm))
        try:
            said: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[str(algorithm)],
                audience=self._config.client_id,
                issuer=self._config.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "aud", "iss", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise TokenWrong(f"the id_token does not hold: {error}") from None
        if not secrets.compare_digest(str(said.get("nonce", "")).encode(), nonce.encode()):
            raise TokenWrong("the id_token is of another login")
        audience = said["aud"]
        if isinstance(audience, list) and len(audience) > 1 and said.get("azp") != self._config.client_id:
            raise TokenWrong("the id_token was made for another program")
        return said

    async def _more(self, url: str, access: str, said: dict[str, Any]) -> dict[str, Any]:
        """What else the provider says of the same person (Core, 5.3.2)."""
        headers = [_JSON, (b"authorization", b"Bearer " + access.encode())]
        more = await self._ask(url, "GET", b"", headers, refused=TokenWrong)
        if more.get("sub") != said["sub"]:
            raise TokenWrong("the provider speaks of two people")
        return more | said

    async def _key(self, kid: object, algorithm: str) -> jwt.PyJWK:
        """The provider's key of this name; fetched anew if it is not known, though not for every token."""
        async with self._turn:
            found = self._known_key(kid, algorithm)
            if found is None and trio.current_time() >= self._keys_at_s + ATTESTOR_KEYS_S:
                about = await self._about_now()
                given = await self._ask(self._url(about, "jwks_uri"))
                self._keys = _keys_of(given)
                self._keys_at_s = trio.current_time()
                found = self._known_key(kid, algorithm)
        if found is None:
            raise TokenWrong("the id_token is signed by a key that the provider does not have")
        return found

    def _known_key(self, kid: object, algorithm: str) -> jwt.PyJWK | None:
        family = {"E": "EC", "R": "RSA", "P": "RSA"}.get(algorithm[0], "EC")
        if algorithm == "EdDSA":
            family = "OKP"
        fitting = [key for key in self._keys if key.key_type == family and kid in (None, key.key_id)]
        return fitting[0] if len(fitting) == 1 else None

    async def _discovered(self) -> dict[str, Any]:
        async with self._turn:
            return await self._about_now()

    async def _about_now(self) -> dict[str, Any]:
        if trio.current_time() < self._about_at_s + DISCOVERED_S:
            return self._about
        about = await self._ask(self._config.issuer.rstrip("/") + _WELL_KNOWN)
        if about.get("issuer") != self._config.issuer:
            raise ProviderDown(
                f"it says to be {str(about.get('issuer'))[:100]!r}, not {self._config.issuer!r}"
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            self._url(about, name)
        self._about, self._about_at_s = about, trio.current_time()
        return about

    def _url(self, about: Mapping[str, Any], name: str) -> str:
        """An endpoint, which is reached as safely as the issuer is."""
        url = about.get(name)
        scheme = urlsplit(self._config.issuer).scheme
        if not isinstance(url, str) or not url.startswith(("https://", f"{scheme}://")):
            raise ProviderDown(f"its {name} is none")
        return url

    async def _ask(
        self,
        url: str,
        method: str = "GET",
        body: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (_JSON,),
        refused: type[Exception] = ProviderDown,
    ) -> dict[str, Any]:
        """A JSON object from there; what it refuses (4xx) is raised as `refused`."""
        try:
            with trio.fail_after(ATTESTOR_PROVIDER_S):
                answer = await fetch(
                    url, self._tls, method, body, list(headers), bytes_max=ATTESTOR_PROVIDER_BYTES_MAX
                )
        except LOST as error:
            raise ProviderDown(f"{url} does not answer: {why(error)}") from None
        except (LocalError, RemoteError) as error:
            raise ProviderDown(f"{url}: {error}") from None
        if answer.status != 200:
            raised = refused if 400 <= answer.status < 500 else ProviderDown
            raise raised(f"{url} answers {answer.status}: {answer.body[:200].decode('utf-8', 'replace')}")
        try:
            value = json.loads(answer.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ProviderDown(f"{url} answers with no JSON object")
        return value


def claim_in(said: Mapping[str, object], name: str) -> object:
    """A claim by its name, of which dots go into objects (`address.locality`), or None."""
    if name in said:
        return said[name]
    value: object = said
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _keys_of(given: Mapping[str, Any]) -> list[jwt.PyJWK]:
    """The keys of a set that are for signing and of a known kind; what else is in it is left out (RFC 7517, 5)."""
    keys = []
    for one in given.get("keys", ()) if isinstance(given.get("keys"), list) else ():
        if not isinstance(one, dict) or one.get("use", "sig") != "sig" or one.get("kty") == "oct":
            continue
        try:
            keys.append(jwt.PyJWK.from_dict(one))
        except jwt.PyJWTError as error:
            log.info("a key of the provider is left out: %s", error)
    return keys
