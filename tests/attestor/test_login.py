"""An attestor as a process, beside a real OpenID provider, as people in a browser and on a command line use it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from click.testing import CliRunner

from client.attesting import Attestor, attest_seen
from p2pworld.civic.transaction import Filing
from p2pworld.crypto.keys import Signer
from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.services.attesting import challenge_of
from p2pworld.services.identity import root_of, sign_device, sign_lost
from p2pworld.services.people import (
    Attested,
    Attestors,
    attested,
    claim_key_seed,
    parse_withdrawn,
    show,
)
from shard_node.cli import main
from shard_node.errors import ConfigError
from shard_node.services.folder import read
from simulations.processes import die_with_parent, python_environment
from tests.attestor.provider import OpenIdProvider, Visitor, free_port, missing
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"no OpenID provider here: {missing()}")

PAGE = "http://127.0.0.1:8765"
ROOT, OFFICIAL = Signer.from_seed(b"r" * 32), Signer.from_seed(b"o" * 32)


@dataclass(frozen=True)
class Office:
    """The attestor that runs, and what an official of it has."""

    url: str
    key_file: Path
    grants_file: Path

    @property
    def attestor(self) -> Attestor:
        return Attestor.at(self.url)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder, port = tmp_path_factory.mktemp("attestor"), free_port()
    url = f"http://127.0.0.1:{port}"
    with OpenIdProvider(f"{url}/callback") as provider:
        (folder / "oidc.secret").write_text("a secret of thirty-two characters\n")
        config = folder / "attestor.toml"
        config.write_text(f"""
[attestor]
listen = "127.0.0.1:{port}"
public_url = "{url}"
data_dir = "data"
key_file = "attestor.key"
secret_file = "attestor.secret"
name = {{ ko = "시민 확인", en = "People" }}
returns = ["{PAGE}"]
[oidc]
issuer = "{provider.url}"
client_id = "attestor"
client_secret_file = "oidc.secret"
scope = "openid address"
gu_claim = "address.locality"
[desk]
roots = ["{ROOT.public.hex()}"]
""")
        begun = CliRunner().invoke(main, ["attestor", "begin", str(config)], catch_exceptions=False)
        assert begun.exit_code == 0, begun.output
        now_ms = int(time.time() * 1_000)
        grant = sign_grant(
            ROOT, OFFICIAL.public, "official", ("streams:jongno",), now_ms - 1_000, now_ms + 10**9
        )
        (folder / "official.key").write_text(OFFICIAL.to_pem())
        (folder / "official.grants").write_text(f"# of Jongno\n{grant_to_text(grant)}\n")
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "shard_node.cli", "attestor", "run", str(config)],
            stdout=subprocess.PIPE,
            text=True,
            env=python_environment(),
            preexec_fn=die_with_parent,
        )
        assert process.stdout is not None
        assert process.stdout.readline().strip() == url
        yield Office(url, folder / "official.key", folder / "official.grants")
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()


def device_of(name: str) -> Signer:
    return Signer.from_seed(hashlib.sha256(name.encode()).digest())


def code_for(attestor: Attestor, device: Signer, name: str) -> tuple[str, str]:
    """The code that somebody who logs in is shown, and the verifier of the program they began with."""
    url, verifier = attestor.begin(device)
    _, shown = Visitor().log_in(url, name)
    return shown.split('<code id="code">')[1].split("<")[0], verifier


def logged_in(office: Office, name: str, device: Signer, certificate: str | None = None) -> dict[str, Any]:
    attestor = office.attestor
    return attestor.register(device, *code_for(attestor, device, name), certificate)


def post(office: Office, path: str, fields: object) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        office.url + path, json.dumps(fields).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


# ---- by a login


def test_one_person_has_one_pseudonym_on_every_device_and_another_for_each_purpose(office: Office) -> None:
    attestor, devices = office.attestor, [device_of("phone"), device_of("laptop")]
    assert [logged_in(office, "hong", device)["gu"] for device in devices] == ["jongno", "jongno"]
    logged_in(office, "kim", device_of("kim"))
    purposes = ["booking", "mayor-proposal"]
    phone, laptop, kim = [attestor.claims(device, purposes) for device in (*devices, device_of("kim"))]
    assert [claim.person for claim in phone] == [claim.person for claim in laptop]
    assert len({claim.person for claim in (*phone, *kim)}) == 4
    assert len({claim.key for claim in (*phone, *laptop, *kim)}) == 6
    assert {claim.gu for claim in phone} == {"jongno"}
    assert {claim.gu for claim in kim} == {"mapo"}


def test_a_claim_is_what_the_holder_of_a_log_believes(office: Office) -> None:
    device = device_of("believed")
    logged_in(office, "hong", device)
    [claim] = office.attestor.claims(device, ["mayor-proposal"])
    service = read().services["mayor-proposal"]
    minute = int(time.time()) // 60
    filing = Filing(service.id, "city", bytes(32), minute)
    holder = Signer.from_seed(claim_key_seed(device.seed, "mayor-proposal"))
    believed = Attestors(frozenset({office.attestor.key}))
    found = attested(service, filing, show(claim, holder, filing).to_bytes(), believed, minute)
    assert found == Attested(claim.person.hex(), "jongno")


def test_a_page_gets_the_code_in_its_fragment(office: Office) -> None:
    device, verifier = device_of("page"), "v" * 43
    status, told = post(
        office,
        "/begin",
        {
            "device": device.public.hex(),
            "return": f"{PAGE}/ko/people?x=1",
            "challenge": challenge_of(verifier),
        },
    )
    assert status == 200
    back, _ = Visitor().log_in(told["url"], "hong")
    assert back.startswith(f"{PAGE}/ko/people?x=1#attestor-code=")
    code = back.rpartition("=")[2]
    assert office.attestor.register(device, code, verifier, None)["gu"] == "jongno"


def test_who_lives_elsewhere_is_a_resident_of_no_gu(office: Office) -> None:
    assert logged_in(office, "lee", device_of("lee"))["gu"] == ""


def test_a_code_is_good_once_and_for_its_own_device_and_page(office: Office) -> None:
    device, thief = device_of("own"), device_of("thief")
    attestor = office.attestor
    code, verifier = code_for(attestor, device, "hong")
    for by, with_verifier in ((thief, verifier), (device, "x" * 43), (device, "")):
        with pytest.raises(ConfigError, match="attestor-code"):
            attestor.register(by, code, with_verifier, None)
    attestor.register(device, code, verifier, None)
    with pytest.raises(ConfigError, match="attestor-code"):
        attestor.register(device, code, verifier, None)


def test_a_login_that_is_broken_off_or_played_again_comes_to_nothing(office: Office) -> None:
    device = device_of("broken")
    fields = {"device": device.public.hex(), "return": PAGE, "challenge": challenge_of("v" * 43)}
    told = post(office, "/begin", fields)[1]
    state = parse_qs(urlsplit(told["url"]).query)["state"][0]
    visitor = Visitor()
    denied, _ = visitor.log_in(
        f"{office.url}/callback?{urlencode({'state': state, 'error': 'access_denied'})}", ""
    )
    assert denied == f"{PAGE}#attestor-error=attestor-login"
    status, _, text = visitor._ask(f"{office.url}/callback?{urlencode({'state': state, 'code': 'x'})}", None)
    assert status == 400
    assert json.loads(text)["reason"] == "attestor-login"
    told = post(office, "/begin", fields)[1]
    state = parse_qs(urlsplit(told["url"]).query)["state"][0]
    made_up, _ = visitor.log_in(f"{office.url}/callback?{urlencode({'state': state, 'code': 'made up'})}", "")
    assert made_up == f"{PAGE}#attestor-error=attestor-token"


def test_the_provider_s_answer_of_another_login_is_not_believed(office: Office) -> None:
    """Somebody who puts their own code into another's login (the login of a thief's page) gets nothing."""
    mine, other = device_of("mine"), device_of("other")
    fields = {"return": PAGE, "challenge": challenge_of("v" * 43)}
    ours = post(office, "/begin", {"device": mine.public.hex(), **fields})[1]["url"]
    theirs = post(office, "/begin", {"device": other.public.hex(), **fields})[1]["url"]
    back, _ = Visitor().log_in(ours, "hong", stop="/callback?")
    code = parse_qs(urlsplit(back).query)["code"][0]
    state = parse_qs(urlsplit(theirs).query)["state"][0]
    mixed, _ = Visitor().log_in(f"{office.url}/callback?{urlencode({'state': state, 'code': code})}", "")
    assert mixed == f"{PAGE}#attestor-error=attestor-token"


def test_it_sends_nobody_to_a_page_that_it_does_not_know(office: Office) -> None:
    for back in (
        "https://evil.example/",
        f"{PAGE}.evil.example",
        "javascript:alert(1)",
        f"{PAGE}/#x",
        "http://[::",
    ):
        fields = {"device": "00" * 32, "return": back, "challenge": challenge_of("v" * 43)}
        status, told = post(office, "/begin", fields)
        assert (status, told["reason"]) == (400, "attestor-return"), back


# ---- from a desk


def test_an_official_attests_somebody_by_a_code_that_is_read_aloud(office: Office) -> None:
    attestor, phone, laptop = office.attestor, device_of("old phone"), device_of("new phone")
    for device, number in ((phone, "900101-1234567"), (laptop, "9001011234567")):
        code = attest_seen(office.url, office.key_file, office.grants_file, number, "jongno")
        assert attestor.register(device, code.lower().replace("-", " "), "", None)["gu"] == "jongno"
    [one], [other] = (attestor.claims(device, ["booking"]) for device in (phone, laptop))
    assert (one.person, one.gu) == (other.person, "jongno")
    code = attest_seen(office.url, office.key_file, office.grants_file, "910202-1234567", "jongno")
    attestor.register(device_of("neighbour"), code, "", None)
    [third] = attestor.claims(device_of("neighbour"), ["booking"])
    assert third.person != one.person


def test_who_is_no_official_of_that_gu_attests_nobody(office: Office, tmp_path: Path) -> None:
    (tmp_path / "other.key").write_text(device_of("no official").to_pem())
    with pytest.raises(ConfigError, match="attestor-official"):
        attest_seen(office.url, tmp_path / "other.key", office.grants_file, "900101-1234567", "jongno")
    for gu in ("mapo", ""):
        with pytest.raises(ConfigError, match="attestor-official"):
            attest_seen(office.url, office.key_file, office.grants_file, "900101-1234567", gu)
    with pytest.raises(ConfigError, match="attestor-number"):
        attest_seen(office.url, office.key_file, office.grants_file, "--", "jongno")


# ---- a lost device


def test_what_was_attested_on_a_lost_device_is_withdrawn_and_it_gets_no_more(office: Office) -> None:
    attestor, lost, kept = office.attestor, device_of("lost"), device_of("kept")
    logged_in(office, "kim", lost)
    logged_in(office, "kim", kept)
    claims = attestor.claims(lost, ["booking", "mayor-proposal"])
    [other] = attestor.claims(kept, ["booking"])
    attestor.lose(kept, lost.public)
    with urllib.request.urlopen(f"{office.url}/withdrawn", timeout=PATIENCE_S) as answer:
        listed = parse_withdrawn(answer.read())
    assert listed.attestor == attestor.key
    assert {claim.key for claim in claims} <= listed.keys
    assert other.key not in listed.keys
    with pytest.raises(ConfigError, match="attestor-lost"):
        attestor.claims(lost, ["booking"])
    code = code_for(attestor, lost, "kim")
    with pytest.raises(ConfigError, match="attestor-lost"):
        attestor.register(lost, *code, None)
    states = {one["device"]: one["lost"] for one in attestor.devices(kept)}
    assert states[lost.public.hex()]
    assert not states[kept.public.hex()]


def test_the_root_s_word_is_enough(office: Office) -> None:
    attestor, lost, root = office.attestor, device_of("stolen"), root_of(b"0123456789abcdef")
    minute = int(time.time()) // 60
    logged_in(office, "kim", lost, sign_device(root, lost.public, "phone", minute).to_text())
    for by in (root_of(bytes(16)), root_of(b"f" * 16)):
        with pytest.raises(ConfigError, match="attestor-not-yours"):
            attestor.lose_by_root(sign_lost(by, lost.public, minute).to_text())
    attestor.lose_by_root(sign_lost(root, lost.public, minute).to_text())
    with pytest.raises(ConfigError, match="attestor-lost"):
        attestor.claims(lost, ["booking"])


def test_nobody_loses_another_s_device(office: Office) -> None:
    attestor, hong, kim = office.attestor, device_of("hong's"), device_of("kim's")
    logged_in(office, "hong", hong)
    logged_in(office, "kim", kim)
    with pytest.raises(ConfigError, match="attestor-not-yours"):
        attestor.lose(kim, hong.public)


# ---- over HTTP


def test_any_page_may_ask_and_what_is_malformed_is_said(office: Office) -> None:
    request = urllib.request.Request(f"{office.url}/claims", method="OPTIONS")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "content-type" in answer.headers["access-control-allow-headers"]
    malformed: list[object] = [[], {}, {"device": "zz" * 32}]
    malformed.append({"device": "00" * 32, "minute": True, "sig": "00" * 64})
    for fields in malformed:
        for path in ("/begin", "/device", "/claims", "/devices", "/lost", "/desk/attest"):
            status, told = post(office, path, fields)
            assert (status, told["reason"]) == (400, "attestor-malformed"), (path, fields)
            assert set(told["sentence"]) == {"ko", "en"}
    status, told = post(office, "/claims", {"x": "y" * 20_000})
    assert told["reason"] == "attestor-malformed"


def test_it_counts_what_it_answered(office: Office) -> None:
    with urllib.request.urlopen(f"{office.url}/metrics", timeout=PATIENCE_S) as answer:
        assert b'p2pworld_attestor_answers_total{answer="answered"}' in answer.read()


# ---- on a command line


def people(folder: Path, *words: object, code: int = 0) -> str:
    """What `p2pworld people` prints, for the wallet in this folder."""
    group = 2 if words[0] in ("device", "claim") else 1
    said = ["people", *words[:group], "--folder", folder, *words[group:]]
    result = CliRunner().invoke(main, list(map(str, said)))
    assert result.exit_code == code, result.output
    return result.output


def test_a_person_on_a_command_line_is_attested_loses_a_device_and_goes_on(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a login on the first device, by an official on the second: two subjects here, so two pseudonyms."""
    begin = Attestor.begin
    urls: list[str] = []

    def noted(self: Attestor, device: Signer) -> tuple[str, str]:
        url, verifier = begin(self, device)
        urls.append(url)
        return url, verifier

    def pasted(*given: object, **named: object) -> str:
        _, shown = Visitor().log_in(urls[-1], "hong")
        return shown.split('<code id="code">')[1].split("<")[0]

    monkeypatch.setattr(Attestor, "begin", noted)
    monkeypatch.setattr("click.prompt", pasted)
    words = people(tmp_path / "a", "new").splitlines()[0]
    to = ("--attestor", office.url)
    assert "a resident of jongno" in people(tmp_path / "a", "claim", "register", *to)
    path = Path(people(tmp_path / "a", "claim", "get", *to, "booking").strip())
    assert path == tmp_path / "a" / "claims" / "booking.claim"
    people(tmp_path / "b", "recover", "--words", words)
    attest = ["attestor", "attest", "--url", office.url, "--key", str(office.key_file)]
    attest += ["--grants", str(office.grants_file), "--gu", "jongno", "--number", "800101-2345678"]
    code = CliRunner().invoke(main, attest, catch_exceptions=False).stdout.strip()
    people(tmp_path / "b", "claim", "register", *to, "--code", code)
    assert "this" in people(tmp_path / "b", "claim", "devices", *to)
    key = people(tmp_path / "a", "show").splitlines()[1].split()[1]
    people(tmp_path / "b", "device", "revoke", key, *to)
    assert "attestor-lost" in people(tmp_path / "a", "claim", "get", *to, "booking", code=2)
    people(tmp_path / "b", "claim", "get", *to, "booking", "mayor-proposal")
