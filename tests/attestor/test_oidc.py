"""What is believed of a provider: forged, foreign and old tokens, keys that change, and a provider that is none."""

from __future__ import annotations

import json
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from p2pworld.limits import ATTESTOR_KEYS_S
from p2pworld.services.attesting import challenge_of, gu_said
from shard_node.attestor import oidc
from shard_node.attestor.oidc import Provider, ProviderDown, TokenWrong, claim_in
from shard_node.attestor.settings import OidcConfig
from shard_node.http_client import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

ISSUER, CLIENT, NONCE = "https://login.example", "attestor", "n" * 43
CONFIG = OidcConfig(ISSUER, CLIENT, "hush", "openid", "sub", "address.locality")
RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def public(key: Any, kid: str, algorithm: str) -> dict[str, Any]:
    makers: dict[str, Any] = {
        "RS256": jwt.algorithms.RSAAlgorithm,
        "ES256": jwt.algorithms.ECAlgorithm,
        "EdDSA": jwt.algorithms.OKPAlgorithm,
    }
    maker = makers[algorithm]
    return {**json.loads(maker.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


class Fake:
    """A provider whose every answer can be changed; it counts what it was asked."""

    def __init__(self) -> None:
        self.about: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "userinfo_endpoint": f"{ISSUER}/me",
        }
        self.keys = [public(RSA, "r", "RS256"), public(EC, "e", "ES256"), public(ED, "d", "EdDSA")]
        self.token: dict[str, Any] = {}
        self.me: dict[str, Any] = {"sub": "hong", "address": {"locality": "마포구"}}
        self.status = 200
        self.asked: list[tuple[str, str, bytes, dict[bytes, bytes]]] = []

    async def fetch(
        self, url: str, tls: object, method: str, body: bytes, headers: Any, *, bytes_max: int
    ) -> Answer:
        self.asked.append((method, urlsplit(url).path, body, dict(headers)))
        given: Any = {
            "/.well-known/openid-configuration": self.about,
            "/keys": {"keys": self.keys},
            "/token": self.token,
            "/me": self.me,
        }[urlsplit(url).path]
        return Answer(self.status, {}, json.dumps(given).encode())


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    monkeypatch.setattr(oidc, "fetch", fake.fetch)
    return fake


def token(
    key: Any = RSA, algorithm: str = "RS256", kid: str | None = "r", **changed: object
) -> dict[str, Any]:
    now = int(time.time())
    said = {
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "hong",
        "iat": now,
        "exp": now + 60,
        "nonce": NONCE,
        **changed,
    }
    said = {name: value for name, value in said.items() if value is not None}
    headers = {"kid": kid} if kid else {}
    return {"id_token": jwt.encode(said, key, algorithm, headers), "access_token": "opaque"}


def provider(config: OidcConfig = CONFIG) -> Provider:
    return Provider(config, "https://attestor.example/callback", ssl.create_default_context())


async def claims(of: Provider, wanted: tuple[str, ...] = ("sub",), issuer: str | None = None) -> Any:
    return await of.claims("code", NONCE, "v" * 43, issuer, wanted)


async def test_somebody_is_sent_there_with_all_that_binds_the_login(fake: Fake) -> None:
    url = await provider().login_url("the state", NONCE, "v" * 43)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(f"{ISSUER}/auth?")
    assert asked == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": "https://attestor.example/callback",
        "scope": "openid",
        "state": "the state",
        "nonce": NONCE,
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(RSA, "RS256", "r"), (EC, "ES256", "e"), (ED, "EdDSA", "d")]
)
async def test_a_token_of_each_kind_of_key_is_believed(
    fake: Fake, key: Any, algorithm: str, kid: str
) -> None:
    for named in (kid, None):  # with one key of a kind its name may be left out
        fake.token = token(key, algorithm, named)
        assert (await claims(provider()))["sub"] == "hong"
    method, path, body, headers = next(each for each in fake.asked if each[1] == "/token")
    assert (method, path) == ("POST", "/token")
    assert parse_qs(body.decode())["code_verifier"] == ["v" * 43]
    assert headers[b"authorization"].startswith(b"Basic ")
    assert b"hush" not in body


async def test_a_program_without_a_secret_says_its_name(fake: Fake) -> None:
    fake.token = token()
    await claims(provider(OidcConfig(ISSUER, CLIENT, "", "openid", "sub", "")))
    body, headers = next(each[2:] for each in fake.asked if each[1] == "/token")
    assert parse_qs(body.decode())["client_id"] == [CLIENT]
    assert b"authorization" not in headers


async def test_a_secret_goes_into_the_body_where_that_is_all_that_is_taken(fake: Fake) -> None:
    fake.about["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    fake.token = token()
    await claims(provider())
    body = next(each[2] for each in fake.asked if each[1] == "/token")
    assert parse_qs(body.decode())["client_secret"] == ["hush"]


NOW = int(time.time())
FORGED: dict[str, Callable[[], dict[str, Any]]] = {
    "by another key": lambda: token(OTHER_RSA),
    "by a key nobody has": lambda: token(kid="z"),
    "by nobody": lambda: {"id_token": jwt.encode({"sub": "hong"}, "", "none")},
    "by a shared secret": lambda: token("hush" * 8, "HS256"),
    "for another program": lambda: token(aud="other"),
    "for several, not made for us": lambda: token(aud=[CLIENT, "other"], azp="other"),
    "by another provider": lambda: token(iss="https://evil.example"),
    "of long ago": lambda: token(exp=NOW - 3_600, iat=NOW - 7_200),
    "of the future": lambda: token(iat=NOW + 3_600, exp=NOW + 7_200),
    "without an end": lambda: token(exp=None),
    "of nobody": lambda: token(sub=None),
    "of another login": lambda: token(nonce="x" * 43),
    "of no login": lambda: token(nonce=None),
    "no token": lambda: {"access_token": "opaque"},
    "no token at all": lambda: {"id_token": 5},
    "not a token": lambda: {"id_token": "a.b"},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_a_token_that_is_not_right_is_not_believed(
    fake: Fake, forged: Callable[[], dict[str, Any]]
) -> None:
    fake.token = forged()
    with pytest.raises(TokenWrong):
        await claims(provider())


async def test_the_answer_is_not_believed_if_it_says_to_be_from_elsewhere(fake: Fake) -> None:
    fake.token = token()
    assert (await claims(provider(), issuer=ISSUER))["sub"] == "hong"
    with pytest.raises(TokenWrong, match="evil"):
        await claims(provider(), issuer="https://evil.example")


async def test_what_is_not_in_the_token_is_asked_for_and_is_of_the_same_person(fake: Fake) -> None:
    of = provider()
    fake.token = token(address={"locality": "종로구"})
    said = await claims(of, ("sub", "address.locality"))
    assert gu_said(claim_in(said, "address.locality")) == "jongno"
    assert all(path != "/me" for _, path, _, _ in fake.asked)
    fake.token = token()
    said = await claims(of, ("sub", "address.locality"))
    assert gu_said(claim_in(said, "address.locality")) == "mapo"
    assert next(each[3] for each in fake.asked if each[1] == "/me")[b"authorization"] == b"Bearer opaque"
    fake.me["sub"] = "kim"
    with pytest.raises(TokenWrong, match="two people"):
        await claims(of, ("sub", "address.locality"))


async def test_a_new_key_is_fetched_but_not_for_every_token(
    fake: Fake, autojump_clock: trio.testing.MockClock
) -> None:
    of = provider()
    fake.token = token()
    await claims(of)
    fake.keys = [public(OTHER_RSA, "next", "RS256")]
    fake.token = token(OTHER_RSA, kid="next")
    for _ in range(5):
        with pytest.raises(TokenWrong, match="does not have"):
            await claims(of)
    fetched = sum(path == "/keys" for _, path, _, _ in fake.asked)
    assert fetched == 1
    await trio.sleep(ATTESTOR_KEYS_S)
    assert (await claims(of))["sub"] == "hong"
    fake.token = token()
    with pytest.raises(TokenWrong):
        await claims(of)  # the old key is none of its any more


async def test_what_is_no_provider_is_said(fake: Fake) -> None:
    fake.token = token()
    for name, value in (
        ("issuer", "https://evil.example"),
        ("token_endpoint", "http://login.example/token"),
        ("jwks_uri", None),
        ("authorization_endpoint", 5),
    ):
        right, fake.about[name] = fake.about[name], value
        with pytest.raises(ProviderDown):
            await provider().login_url("s", NONCE, "v" * 43)
        fake.about[name] = right
    for status in (500, 404):
        fake.status = status
        with pytest.raises(ProviderDown):
            await provider().login_url("s", NONCE, "v" * 43)


async def test_a_code_that_the_provider_does_not_take_is_the_caller_s_fault(fake: Fake) -> None:
    of = provider()
    await of.login_url("s", NONCE, "v" * 43)
    for status, raised in ((400, TokenWrong), (401, TokenWrong), (503, ProviderDown)):
        fake.status = status
        with pytest.raises(raised):
            await claims(of)


@pytest.mark.parametrize(
    ("said", "gu"),
    [("jongno", "jongno"), ("종로구", "jongno"), ("Jongno-gu", "jongno"), (11110, "jongno"), (" 마포구 ", "mapo"),
     ("부산", ""), (None, ""), ("", ""), ({"x": 1}, "")],
)  # fmt: skip
def test_a_gu_is_known_by_each_of_its_names(said: object, gu: str) -> None:
    assert gu_said(said) == gu


def test_a_claim_is_found_by_its_whole_name_first() -> None:
    said = {"https://example/gu": "jongno", "address": {"locality": "mapo"}, "a.b": 1}
    assert claim_in(said, "https://example/gu") == "jongno"
    assert claim_in(said, "address.locality") == "mapo"
    assert claim_in(said, "a.b") == 1
    assert claim_in(said, "address.locality.more") is None
