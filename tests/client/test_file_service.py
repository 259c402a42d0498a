"""Any declared service filed from a command line: what is wrong is told at once, what is right reaches a real node."""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from client.file_service import Writer, Wrong
from client.walk import places_around
from client.wallet import Wallet
from p2pworld.civic.transaction import open_sealed, parse_submission
from p2pworld.crypto.keys import NodeKeys, Signer
from p2pworld.crypto.seal import secret_of_text, unlock
from p2pworld.grants import grants_from_text
from p2pworld.services.attaching import attachment_key
from p2pworld.services.identity import DEVICE_PROOF, parse_device
from p2pworld.services.letters import REPLY_KEY
from p2pworld.services.people import claim_key_seed, sign_claim
from p2pworld.services.working_time import day_of
from shard_node.cli import main
from shard_node.errors import ConfigError
from shard_node.services.folder import read
from simulations.processes import City
from tests.civic.citizens import by_http, wait_held
from tests.services.office import act
from tests.shard_node.test_city_of_processes import wait_ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CATALOGUE = read()
PHOTO = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01" + bytes(9)
PLACE = "place=37.572900,126.979400"  # in Jongno


def writer(tmp_path: Path, language: str = "ko", wallet: Wallet | None = None) -> Writer:
    signer = Signer.from_seed(bytes(32))
    return Writer(CATALOGUE, wallet.device if wallet else signer, wallet, lambda stream: (OFFICE,), language)


OFFICE = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
MINUTE = int(time.time()) // 60


def fields(service_id: str) -> list[str]:
    """An answer to every required field, as it is typed."""
    from tests.services.samples import filled

    service = CATALOGUE.services[service_id]
    said = []
    for name, value in filled(service, CATALOGUE).items():
        if name not in service.form.required:
            continue
        values = value if isinstance(value, list) else [value]
        said += [f"{name}={str(each).lower() if isinstance(each, bool) else each}" for each in values]
    return said


def test_all_that_is_wrong_is_told_at_once_in_the_citizen_s_language(tmp_path: Path) -> None:
    with pytest.raises(Wrong) as caught:
        writer(tmp_path).write("complaint-field", ["nowhere=1", "body="], None, MINUTE)
    assert len(caught.value.sentences) > 2
    assert all(any("가" <= letter <= "힣" for letter in sentence) for sentence in caught.value.sentences)
    with pytest.raises(Wrong) as caught:
        writer(tmp_path, "en").write("complaint-field", [], None, MINUTE)
    assert "Please fill in" in str(caught.value)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (["body"], "field=value"),
        (["gu=jongno", "gu=mapo"], "given twice"),
        (["photos=@/nowhere/at/all"], "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path: Path, said: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        writer(tmp_path).write("complaint-field", said, None, MINUTE)


def test_every_service_that_needs_no_file_can_be_written_from_what_is_typed(tmp_path: Path) -> None:
    wallet = Wallet.new(tmp_path / "people", os.urandom(16), "", MINUTE)
    attestor, written, refused = Signer.from_seed(bytes(32)), 0, list[str]()
    for service in CATALOGUE.services.values():
        said = fields(service.id)
        if any(
            field.format == "file" for field in service.form.fields if field.name in service.form.required
        ):
            continue
        for purpose in ("booking", service.id):
            key = Signer.from_seed(claim_key_seed(wallet.seed, purpose)).public
            wallet.keep_claim(sign_claim(attestor, purpose, bytes(32), key, "jongno", MINUTE + 60))
        try:
            made = writer(tmp_path, wallet=wallet).write(service.id, said, None, MINUTE)
        except (Wrong, ConfigError) as error:
            refused.append(str(error))
            continue
        written += 1
        assert made.submission.filing.type == service.id
    # a date of the samples may lie too far back by now, and a draw has a purpose of its own
    assert all("기간" in one or "날짜" in one or "claim get draw/" in one for one in refused), refused
    assert written > 40


def test_a_claim_is_shown_where_there_is_one_and_asked_for_where_one_is_needed(tmp_path: Path) -> None:
    wallet = Wallet.new(tmp_path / "people", os.urandom(16), "", MINUTE)
    said = fields("mayor-proposal")
    with pytest.raises(ConfigError, match="claim get mayor-proposal"):
        writer(tmp_path, wallet=wallet).write("mayor-proposal", said, None, MINUTE)
    key = Signer.from_seed(claim_key_seed(wallet.seed, "mayor-proposal")).public
    claim = sign_claim(Signer.from_seed(bytes(32)), "mayor-proposal", bytes(32), key, "", MINUTE + 60)
    path = wallet.keep_claim(claim)
    for given in (None, path):
        made = writer(tmp_path, wallet=wallet).write("mayor-proposal", said, given, MINUTE)
        assert made.submission.paper("claim") is not None
    other = Wallet.new(tmp_path / "other", os.urandom(16), "", MINUTE)
    with pytest.raises(Exception, match="another key"):
        writer(tmp_path, wallet=other).write("mayor-proposal", said, path, MINUTE)


def test_a_file_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "road.jpg").write_bytes(b"MZ this is a program")
    said = [*fields("complaint-field"), f"photos=@{tmp_path / 'road.jpg'}"]
    with pytest.raises(Wrong, match="형식"):
        writer(tmp_path).write("complaint-field", said, None, MINUTE)


# ---- at a real node


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with City(tmp_path_factory.mktemp("city"), 1, places_around(), 512, ttl_s=3.0) as started:
        started.keep_logs(["jongno", "guro", "city"], started.nodes)
        started.start()
        wait_ready(started)
        wait_held(started.nodes[0])
        yield started
        assert started.end() == [], "a node had to be killed"


def file(city: City, tmp_path: Path, stream: str, *more: str, code: int = 0) -> str:
    words = [
        "file",
        "--node",
        city.nodes[0].web_url,
        "--key",
        city.log_keys[stream],
        "--out",
        str(tmp_path / "out"),
    ]
    words += ["--office", city.office_key.hex(), *more]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result.output


def test_a_complaint_with_a_photo_is_filed_and_the_office_reads_it(city: City, tmp_path: Path) -> None:
    (tmp_path / "road.png").write_bytes(PHOTO)
    call = [f"--people={tmp_path / 'people'}", "--service=complaint-field"]
    Wallet.new(tmp_path / "people", os.urandom(16), "phone", MINUTE)
    kept = [one for one in fields("complaint-field") if not one.startswith("place=")]
    answers = [f"--set={one}" for one in (*kept, PLACE)]
    said = file(city, tmp_path, "jongno", *call, *answers, f"--set=photos=@{tmp_path / 'road.png'}")
    assert "filed: entry" in said
    [path] = (tmp_path / "out").glob("*.submission")
    assert not path.with_suffix(".attached").exists()
    submission = parse_submission(path.read_bytes())
    assert submission.sealed is not None
    secret = secret_of_text((city.folder / "office.secret").read_text())
    opened = open_sealed(submission.filing, submission.sealed, secret)
    private = {field.name: field.value for field in opened.fields}
    wallet = Wallet.at(tmp_path / "people")
    assert opened.identity == wallet.device.public
    assert parse_device(private[DEVICE_PROOF]).root == wallet.root
    assert len(private[REPLY_KEY]) == 64
    [request] = wallet.requests
    assert (request["standing"], request["service"]) == ("accepted", "complaint-field")
    assert request["files"] == [{"hash": hashlib.sha256(PHOTO).hexdigest(), "name": "road.png"}]
    digest = hashlib.sha256(PHOTO).digest()
    folder = city.folder / f"{city.nodes[0].name}.civic.attachments" / "jongno"
    [put] = [each for each in folder.rglob("*") if each.is_file()]
    key = attachment_key(request["secrets"]["blobKey"], digest)
    assert unlock(key, put.read_bytes()[:-16]) == PHOTO
    assert put.name.endswith(f".e{request['entry']}")


def test_a_place_is_booked_with_a_claim_of_the_wallet(city: City, tmp_path: Path) -> None:
    wallet = Wallet.new(tmp_path / "people", os.urandom(16), "", MINUTE)
    slot = f"slot={day_of(MINUTE).fromordinal(day_of(MINUTE).toordinal() + 8)}T10:00"
    kept = [one for one in fields("reserve-sports") if not one.startswith(("facility=", "slot="))]
    answers = [f"--set={one}" for one in (*kept, "facility=guro-gyenam-tennis-out", slot)]
    call = [f"--people={tmp_path / 'people'}", "--service=reserve-sports", *answers]
    assert "p2pworld people claim get booking" in file(city, tmp_path, "guro", *call, code=2)
    key = Signer.from_seed(claim_key_seed(wallet.seed, "booking")).public
    claim = sign_claim(city.signer("attestor"), "booking", os.urandom(32), key, "guro", MINUTE + 60)
    wallet.keep_claim(claim)
    assert "filed: entry" in file(city, tmp_path, "guro", *call)
    wallet.keep_claim(replace(claim, sig=bytes(64)))
    said = file(city, tmp_path, "guro", *call, "--language=ko", code=1)
    assert "claim-signature" in said
    assert [one["standing"] for one in Wallet.at(tmp_path / "people").requests] == ["accepted", "refused"]


def test_a_proposal_is_supported_once(city: City, tmp_path: Path) -> None:
    wallet = Wallet.new(tmp_path / "people", os.urandom(16), "", MINUTE)

    def attested(purpose: str) -> None:
        key = Signer.from_seed(claim_key_seed(wallet.seed, purpose)).public
        wallet.keep_claim(sign_claim(city.signer("attestor"), purpose, os.urandom(32), key, "", MINUTE + 60))

    attested("mayor-proposal")
    answers = [f"--set={one}" for one in fields("mayor-proposal")]
    said = file(
        city, tmp_path, "city", f"--people={tmp_path / 'people'}", "--service=mayor-proposal", *answers
    )
    found = re.search(r"filed: entry (\d+)", said)
    assert found is not None
    entry = int(found[1])
    words = [
        "people",
        "support",
        f"city/{entry}",
        "--folder",
        str(tmp_path / "people"),
        "--out",
        str(tmp_path / "out"),
    ]
    words += ["--node", city.nodes[0].web_url, "--key", city.log_keys["city"]]

    def supported() -> tuple[int, str]:
        result = CliRunner().invoke(main, words)
        return result.exit_code, result.output

    code, output = supported()
    assert (code, f"claim get support/city/{entry}" in output) == (2, True), output
    attested(f"support/city/{entry}")
    assert supported()[0] == 1  # nobody is asked yet
    key, grant = (path.read_text() for path in city.official)
    official, grants = NodeKeys.from_text(key), grants_from_text(grant)
    gathered = act("city", entry, 0, "gather", official, int(time.time()) // 60, 0, grants)
    assert by_http(city.nodes[0], gathered.to_bytes()).receipt
    code, output = supported()
    assert (code, "filed: entry" in output) == (0, True), output
    code, output = supported()
    assert (code, "supported-already" in output) == (1, True), output


def test_the_form_is_checked_before_anything_is_sent(city: City, tmp_path: Path) -> None:
    said = file(city, tmp_path, "jongno", "--service=complaint-field", "--language=ko", code=1)
    assert "빈칸을 채워 주세요" in said
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("*.submission"))
    assert "no service" in file(city, tmp_path, "jongno", "--service=nowhere", code=2)
    assert "leave out" in file(city, tmp_path, "jongno", "--service=complaint-field", "--topic=x", code=2)
