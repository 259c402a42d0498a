"""A real node and the desk's commands: a request is taken, a supplement asked for and given, answered and rated.

Every step is a signed act in the log that this machine verifies. Beside it stand those who may not: grants that are
another's, that have ended, or of another office; two who act at once; and a case that goes to another gu's office.
One node serves the whole file.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from client.walk import places_around
from p2pworld.civic.transaction import (
    blob_key,
    open_sealed,
    parse_sealed,
)
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public, secret_text
from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.services.workflow import Action
from shard_node.cli import main
from simulations.processes import City
from tests.client.reports import AT_MOST_S, PICTURE, PLACE, Report, minute
from tests.patience import PATIENCE_S
from tests.shard_node.test_city_of_processes import wait_ready, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
DAY_MS = 86_400_000
REFUSED = 1


class Town:
    """A node that holds the logs of the city, Jongno and Jung; officials with their files."""

    def __init__(self, folder: Path, city: City, keys: dict[str, str]) -> None:
        self.folder, self.city, self.keys = folder, city, keys
        [self.node] = city.nodes
        self.offices = {stream: os.urandom(32) for stream in ("jongno", "jung")}
        for stream, secret in self.offices.items():
            (folder / f"{stream}.secret").write_text(secret_text(secret))
        self.signers: dict[str, Signer] = {}

    def log_tail(self) -> str:
        return self.node.log_tail()

    def official(
        self,
        name: str,
        stream: str,
        ends_ms: int = DAY_MS,
        role: str = "official",
        root: Signer | None = None,
    ) -> tuple[object, ...]:
        """An official of an office, as the options of a desk."""
        signer = self.signers.setdefault(name, Signer.from_seed(os.urandom(32)))
        (self.folder / f"{name}.pem").write_text(signer.to_pem())
        now_ms = time.time_ns() // 1_000_000
        scope = (f"streams:{stream}",)
        begins = now_ms - 2 * DAY_MS
        grant = sign_grant(root or self.city.root, signer.public, role, scope, begins, now_ms + ends_ms)
        (self.folder / f"{name}.grant").write_text(f"{grant_to_text(grant)}\n")
        files = ("--key", self.folder / f"{name}.pem", "--grants", self.folder / f"{name}.grant")
        return *files, "--office-secret", self.folder / f"{stream}.secret"

    def desk(self, who: tuple[object, ...], *words: object) -> Result:
        """What comes of a desk's command."""
        keys = ("--node", self.node.web_url, "--log-key", self.keys["jongno"], "--out", self.folder / "acts")
        return CliRunner().invoke(main, list(map(str, ("desk", *keys, *who, *words))))

    def done(self, who: tuple[object, ...], *words: object) -> str:
        """The same, and it is done."""
        result = self.desk(who, *words)
        assert result.exit_code == 0, f"{words}\n{result.output}\n{self.log_tail()}"
        return result.stdout

    def refused(self, who: tuple[object, ...], *words: object) -> str:
        """The same, and it is refused: what was said."""
        result = self.desk(who, *words)
        assert result.exit_code == REFUSED, f"{words}\n{result.output}"
        return result.output

    def request(self, *photos: bytes) -> Report:
        """A citizen reports a pothole in Jongno."""
        return Report(self.node, sealing_public(self.offices["jongno"]), *photos)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    with City(folder / "city", 1, places_around(), 512, ttl_s=3.0) as city:
        keys = city.keep_logs(["city", "jongno", "jung"], city.nodes)
        city.start()
        wait_ready(city)
        wait_until(lambda: all_held(city), AT_MOST_S, city.nodes[0].log_tail)
        yield Town(folder, city, keys)


def all_held(city: City) -> bool:
    streams = (city.nodes[0].ask_json("/civic/streams") or {}).get("streams", [])
    return bool(streams) and all(stream["holder"] for stream in streams)


def test_a_request_is_taken_supplemented_answered_and_rated(town: Town) -> None:
    kim = town.official("kim", "jongno")
    filed = town.request()
    number = filed.number
    filed.until("received")
    assert f"jongno/{filed.entry} " in town.done((), "queue", "jongno")

    assert town.done(kim, "act", *number, "assign").startswith("filed: entry ")
    assert filed.until("assigned")["assigned"] == town.signers["kim"].public.hex()
    opened = json.loads(town.done(kim, "open", *number, "--json"))["letters"]
    assert [one["fields"]["place"] for one in opened] == [PLACE]

    town.done(kim, "act", *number, "ask", "--amount", 5, "--template", "supplement")
    filed.until("supplement-requested")
    filed.act(Action.SUPPLEMENT, text="버스 정류장 바로 앞이에요.")
    filed.until("in-progress")
    opened = json.loads(town.done(kim, "open", *number, "--json"))["letters"]
    assert "5일 안에" in opened[1]["fields"]["text"]
    assert opened[2]["fields"]["text"] == "버스 정류장 바로 앞이에요."

    town.done(kim, "act", *number, "complete", "--text", "메웠어요. 알려 주셔서 고마워요.")
    filed.until("completed")
    filed.act(Action.RATE, 5)
    wait_until(lambda: filed.case["rating"] == 5, AT_MOST_S, town.log_tail)
    acts = filed.case["acts"]
    assert [(act["action"], act["who"], act["refused"]) for act in acts] == [
        ("assign", "official", None),
        ("ask", "official", None),
        ("supplement", "citizen", None),
        ("complete", "decider", None),
        ("rate", "citizen", None),
    ]
    log = town.city.folder / f"{town.node.name}-log" / "jongno"
    verified = CliRunner().invoke(main, ["verify", str(log), "--key", town.keys["jongno"], "--leaves"])
    assert verified.exit_code == 0, verified.output
    for proof in (town.folder / "acts").glob("*.tlog-proof"):
        files = (str(proof), str(proof.with_suffix(".submission")))
        assert CliRunner().invoke(main, ["verify", *files, "--key", town.keys["jongno"]]).exit_code == 0


def test_who_may_not_is_told_so(town: Town) -> None:
    filed = town.request()
    number = filed.number
    filed.until("received")
    stranger = Signer.from_seed(os.urandom(32))
    for who in (
        town.official("lee", "jung"),
        town.official("park", "jongno", ends_ms=-120_000),
        town.official("choi", "jongno", role="moderator"),
        town.official("jung", "jongno", root=stranger),
    ):
        who = (*who[:-1], town.folder / "jongno.secret")  # even with the office's secret in hand
        assert "(forbidden)" in town.refused(who, "act", *number, "assign")
        assert "does not open" in town.refused(who, "open", *number)
    kim, lee = town.official("kim", "jongno"), town.official("lee", "jung")
    mixed = (*kim[:2], *lee[2:4])  # one's key with another's grants
    assert "(forbidden)" in town.refused(mixed, "act", *number, "assign")
    assert filed.case["seen"] == 0


def test_two_at_once_and_a_double_click(town: Town) -> None:
    kim, han = town.official("kim", "jongno"), town.official("han", "jongno")
    filed = town.request()
    number = filed.number
    filed.until("received")
    seen = ("--seen", 0)
    town.done(kim, "act", *number, "assign", *seen)
    assert "(case-moved-on)" in town.refused(han, "act", *number, "assign", *seen)
    filed.until("assigned")
    newest = max((town.folder / "acts").glob("*.tlog-proof"), key=lambda path: path.stat().st_mtime_ns)
    before = parse_receipt(newest.read_bytes()).index
    again = ["file", "--node", town.node.web_url, "--key", town.keys["jongno"], "--again"]
    newest.unlink()  # whoever did not hear the answer sends the same once more
    result = CliRunner().invoke(main, [*again, str(newest.with_suffix(".submission"))])
    assert result.exit_code == 0, result.output
    assert parse_receipt(newest.read_bytes()).index == before
    assert filed.case["seen"] == 1


def test_a_case_goes_to_another_office_which_reads_and_answers_it(town: Town) -> None:
    kim, lee = town.official("kim", "jongno"), town.official("lee", "jung")
    filed = town.request()
    number = filed.number
    filed.until("received")
    assert town.desk(lee, "open", *number).exit_code == REFUSED
    to = sealing_public(town.offices["jung"]).hex()
    town.done(
        kim, "act", *number, "transfer", "--to", "jung", "--to-office", to, "--text", "중구가 맡는 길이에요."
    )
    assert filed.until("transferred")["office"] == "jung"
    assert f"jongno/{filed.entry} " in town.done((), "queue", "jung")
    assert "(forbidden)" in town.refused(kim, "act", *number, "assign")
    town.done(lee, "act", *number, "assign")
    opened = json.loads(town.done(lee, "open", *number, "--json"))["letters"]
    assert opened[0]["fields"]["place"] == PLACE
    assert opened[1]["fields"]["text"] == "중구가 맡는 길이에요."
    filed.until("assigned")
    for action in ("visit", "begin"):
        town.done(lee, "act", *number, action)
    town.done(lee, "act", *number, "complete", "--template", "repaired")
    filed.until("completed")


def test_a_file_is_saved_if_its_content_is_what_may_be_attached(town: Town) -> None:
    kim = town.official("kim", "jongno")
    program = b"\x7fELF" + bytes(60)
    filed = town.request(PICTURE, program)
    filed.until("received")
    picture, other = (digest.hex() for digest in filed.digests)
    saved = Path(town.done(kim, "save", *filed.number, picture).strip())
    assert (saved.read_bytes(), saved.suffix) == (PICTURE, ".png")
    assert "it was not saved" in town.refused(kim, "save", *filed.number, other)
    assert town.desk(kim, "save", *filed.number, "ab" * 32).exit_code == 2
    lee = town.official("lee", "jung")
    assert town.desk(lee, "save", *filed.number, picture).exit_code == 2, "to whom nothing of the case opens"


def test_a_colleague_takes_over_from_who_is_away(town: Town) -> None:
    kim, han = town.official("away", "jongno"), town.official("han", "jongno")
    cases = [town.request() for _ in range(2)]
    for filed in cases:
        filed.until("received")
        town.done(kim, "act", "jongno", filed.entry, "assign")
        filed.until("assigned")
    absent = town.signers["away"].public.hex()
    assert town.done(kim, "away", "jongno", "--days", 7).count("note: entry ") == 2
    wait_until(lambda: all(filed.case["seen"] == 2 for filed in cases), AT_MOST_S, town.log_tail)
    assert cases[0].case["acts"][-1]["amount"] == 7
    assert town.done(han, "take-over", "jongno", "--from", absent).count("reassign: entry ") == 2
    mine = town.signers["han"].public.hex()
    wait_until(lambda: all(filed.case["assigned"] == mine for filed in cases), AT_MOST_S, town.log_tail)
    assert town.done((), "queue", "jongno", "--assigned", absent) == ""


def test_what_is_wrong_with_the_call_is_said_before_anything_is_sent(town: Town) -> None:
    kim = town.official("kim", "jongno")
    for words, said in (
        (("act", "jongno", 0, "dance"), "dance is no action"),
        (("act", "jongno", 0, "transfer"), "needs --to"),
        (("act", "jongno", 0, "transfer", "--to", "moon", "--to-office", "00" * 32), "moon is no office"),
        (("act", "jongno", 0, "ask", "--template", "moon"), "moon is no template for ask"),
    ):
        result = town.desk(kim, *words)
        assert result.exit_code == 2, result.output
        assert said in result.output
    assert town.desk((), "act", "jongno", 0, "assign").exit_code == 2
    assert town.desk(kim, "open", "jongno", 99_999).exit_code == 3


def test_nobody_reads_what_is_sealed_without_a_right(town: Town) -> None:
    """The node gives it to nobody who only knows where it is; and what it gives to officials stays sealed."""
    filed = town.request()
    filed.until("received")
    assert filed.submission.sealed is not None
    wrapped = open_sealed(filed.submission.filing, filed.submission.sealed, town.offices["jongno"])
    assert wrapped.fields
    assert len(blob_key(parse_sealed(filed.submission.sealed.to_bytes()), town.offices["jongno"])) == 32
    url = f"{town.node.web_url}/civic/sealed/jongno/{filed.entry}"
    for body in (b"", b"{}", json.dumps({"key": "00" * 32, "minute": minute(), "sig": "00" * 64}).encode()):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=PATIENCE_S)
