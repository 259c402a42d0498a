"""Attachments at real nodes: put, filed, fetched, erased; through a kill, at the wrong node, and too large."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from client.walk import places_around
from p2pworld.civic.attached import ATTACHMENT_HEADER
from p2pworld.civic.erasure import file_erasure
from p2pworld.civic.transaction import Secrets, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import unlock
from p2pworld.limits import ATTACHMENT_BYTES_MAX
from p2pworld.merkle.receipt import parse_receipt
from p2pworld.services.attaching import attachment_key
from p2pworld.services.sealed_files import paper_of_files, sealed_file
from simulations.processes import City
from tests.civic.citizens import by_http, wait_held
from tests.patience import PATIENCE_S
from tests.services.office import CATALOGUE
from tests.services.samples import filled
from tests.shard_node.test_city_of_processes import wait_ready, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pworld.civic.transaction import Submission

STREAM = "jongno"
PHOTO = b"\xff\xd8\xff" + b"a photo of a road" * 20_000


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with City(tmp_path_factory.mktemp("city"), 2, places_around(), 512, ttl_s=3.0) as started:
        started.keep_logs([STREAM], started.nodes[:1])
        started.start()
        wait_ready(started)
        wait_held(started.nodes[0])
        yield started
        assert started.end() == [], "a node had to be killed"


class Complaint:
    """One with a photo: what is locked, under which name, and the filing that names it."""

    def __init__(self, city: City, photo: bytes = PHOTO) -> None:
        service = CATALOGUE.services["complaint-field"]
        self.secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
        digest = hashlib.sha256(photo).digest()
        self.key = attachment_key(self.secrets.blob_key, digest)
        self.name, self.sig, self.locked = sealed_file(STREAM, self.secrets.blob_key, photo)
        public, private = service.split(filled(service, CATALOGUE))
        made = file_transaction(
            service.transaction_type,
            STREAM,
            int(time.time()) // 60,
            public,
            private,
            Signer.from_seed(os.urandom(32)),
            [city.office_key],
            self.secrets,
        )
        self.paper = paper_of_files(self.secrets.blob_key, [digest], made.filing.key)
        self.submission = replace(made, papers=(self.paper,))

    @property
    def path(self) -> str:
        return f"/civic/attachment/{STREAM}/{self.name.hex()}"


def ask(
    city: City, method: str, path: str, body: bytes = b"", node: int = 0, sig: bytes = bytes(64)
) -> tuple[int, Any, bytes]:
    """Status, headers, body; redirects are not followed."""
    connection = http.client.HTTPConnection(urlsplit(city.nodes[node].web_url).netloc, timeout=PATIENCE_S)
    connection.request(method, path, body or None, {ATTACHMENT_HEADER: sig.hex()})
    answer = connection.getresponse()
    told = answer.status, answer.headers, answer.read()
    connection.close()
    return told


def filed(city: City, submission: Submission) -> int | str:
    told = by_http(city.nodes[0], submission.to_bytes())
    return parse_receipt(told.receipt).index if told.receipt else told.reason


def reason(told: tuple[int, Any, bytes]) -> tuple[int, str]:
    return told[0], json.loads(told[2])["reason"]


def test_a_photo_is_put_filed_and_fetched_by_whoever_can_unlock_it(city: City) -> None:
    one = Complaint(city)
    status, headers, body = ask(city, "PUT", one.path, one.locked, sig=one.sig)
    told = json.loads(body)
    assert (status, told["name"], told["bytes"]) == (200, one.name.hex(), len(one.locked))
    assert headers["access-control-allow-origin"] == "*"
    assert told["until"] > time.time() // 60 + 1_400
    assert isinstance(filed(city, one.submission), int)
    status, headers, body = ask(city, "GET", one.path)
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    assert unlock(one.key, body) == PHOTO


def test_nothing_is_entered_without_what_it_names_until_that_is_there(city: City) -> None:
    one = Complaint(city)
    assert filed(city, one.submission) == "attachment-missing"
    ask(city, "PUT", one.path, one.locked, sig=one.sig)
    entry = filed(city, one.submission)
    assert isinstance(entry, int)
    assert filed(city, one.submission) == entry
    other = Complaint(city)  # whoever has seen the names of another's files can name none of them
    assert filed(city, replace(other.submission, papers=(one.paper,))) == "attachment-signature"
    for sig in (other.sig, one.sig, bytes(64)):  # nor put anything in their place
        assert reason(ask(city, "PUT", other.path, one.locked, sig=sig)) == (400, "attachment-signature")
    assert ask(city, "GET", other.path)[0] == 404
    assert ask(city, "GET", one.path)[2] == one.locked


def test_it_outlives_a_kill_and_goes_with_what_is_erased(city: City) -> None:
    one, kept = Complaint(city), Complaint(city)
    for each in (one, kept):
        ask(city, "PUT", each.path, each.locked, sig=each.sig)
    entry = filed(city, one.submission)
    assert isinstance(entry, int)
    assert isinstance(filed(city, kept.submission), int)
    holder = city.nodes[0]
    before = wait_held(holder)
    holder.kill()
    holder.start()
    wait_ready(city)
    wait_held(holder, than=before)
    assert ask(city, "GET", one.path)[2] == one.locked
    own = Signer.from_seed(one.secrets.seed)
    asked = file_erasure(STREAM, entry, int(time.time()) // 60, own, os.urandom(32))
    assert isinstance(filed(city, asked), int)
    wait_until(lambda: ask(city, "GET", one.path)[0] == 404, 10, holder.log_tail)
    folder = city.folder / f"{holder.name}.civic.attachments"
    assert not list(folder.rglob(f"{one.name.hex()}*"))
    assert ask(city, "GET", kept.path)[2] == kept.locked
    assert filed(city, one.submission) == entry  # a retry is told the same for ever


def test_another_node_sends_to_the_holder(city: City) -> None:
    one = Complaint(city)
    for method, body in (("PUT", one.locked), ("GET", b"")):
        status, headers, _ = ask(city, method, one.path, body, node=1)
        assert status == 307
        assert headers["location"] == f"{city.nodes[0].web_url}{one.path}"
        assert headers["access-control-allow-origin"] == "*"
    status, headers, _ = ask(city, "OPTIONS", one.path)
    assert status == 204
    assert "PUT" in headers["access-control-allow-methods"]


def test_what_is_too_large_is_refused_before_it_is_read_or_kept(city: City) -> None:
    one = Complaint(city)
    netloc = urlsplit(city.nodes[0].web_url).netloc
    connection = http.client.HTTPConnection(netloc, timeout=PATIENCE_S)
    connection.putrequest("PUT", one.path)
    connection.putheader(ATTACHMENT_HEADER, one.sig.hex())
    connection.putheader("Content-Length", str(1 << 30))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["reason"]) == (413, "attachment-size")
    connection.close()
    # one that does not say how long it is
    connection = http.client.HTTPConnection(netloc, timeout=PATIENCE_S)
    connection.putrequest("PUT", one.path)
    connection.putheader(ATTACHMENT_HEADER, one.sig.hex())
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    piece = bytes(1 << 20)
    sent = 0
    try:
        while sent <= ATTACHMENT_BYTES_MAX:
            connection.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
            sent += len(piece)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["reason"]) == (413, "attachment-size")
    except (BrokenPipeError, ConnectionResetError):
        pass  # the node has closed it before all was sent
    connection.close()
    assert ask(city, "GET", one.path)[0] == 404
    assert not list((city.folder / f"{city.nodes[0].name}.civic.attachments" / "coming").iterdir())


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"/civic/attachment/{STREAM}/{'AB' * 32}", (400, "attachment-name")),
        (f"/civic/attachment/{STREAM}/ab", (400, "attachment-name")),
        (f"/civic/attachment/nowhere/{'ab' * 32}", (404, "civic-stream")),
    ],
)
def test_what_is_no_attachment_s_place_is_said(city: City, path: str, found: tuple[int, str]) -> None:
    for method in ("PUT", "GET"):
        assert reason(ask(city, method, path, b"x")) == found


def test_one_that_breaks_off_is_not_there(city: City) -> None:
    one = Complaint(city)
    connection = http.client.HTTPConnection(urlsplit(city.nodes[0].web_url).netloc, timeout=PATIENCE_S)
    connection.putrequest("PUT", one.path)
    connection.putheader(ATTACHMENT_HEADER, one.sig.hex())
    connection.putheader("Content-Length", str(len(one.locked)))
    connection.endheaders()
    connection.send(one.locked[: len(one.locked) // 2])
    connection.close()
    folder = city.folder / f"{city.nodes[0].name}.civic.attachments" / "coming"
    wait_until(lambda: not list(folder.iterdir()), 20, city.nodes[0].log_tail)
    assert ask(city, "GET", one.path)[0] == 404
