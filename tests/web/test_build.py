"""The page is built, small, and its own tests pass under node; nodes serve it with the headers that keep it alone."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from shard_node.web.page import HEADERS, POLICY, Guard, page_routes
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Message

    from tests.web.conftest import Built

SCRIPT_BYTES_MAX = {"main.js": 150_000, "services.js": 60_000, "desk.js": 60_000}  # packed


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(folder: Path, path: str, **headers: str) -> Answer:
    """One request to what serves the page in `folder`, without a socket."""
    app = Starlette(routes=page_routes(folder))
    app.add_middleware(Guard)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asked = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": asked}
    await app(scope, receive, send)
    start, *rest = sent
    told = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], told, b"".join(message.get("body", b"") for message in rest))


def test_the_page_s_own_tests_pass(built: Built, tmp_path: Path) -> None:
    node = built.node[0]
    subprocess.run(
        [node, "build.mjs", "tests", str(tmp_path)], cwd=built.sources, check=True, timeout=PATIENCE_S
    )
    bundles = sorted(map(str, tmp_path.glob("*.mjs")))
    assert len(bundles) == len(list((built.sources / "tests").glob("*.test.ts"))) > 1
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", *bundles],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    counts = {
        what: int(n) for what, n in re.findall(r"^# (tests|pass|fail) (\d+)$", done.stdout, re.MULTILINE)
    }
    assert counts["pass"] == counts["tests"] > 20, counts


def test_the_scripts_are_small_and_the_manifest_names_all_that_is_built(built: Built) -> None:
    manifest = json.loads((built.dist / "manifest.json").read_text("utf-8"))
    named = {path.removeprefix("/assets/") for path in manifest.values()}
    assert named == {path.name for path in (built.dist / "assets").iterdir() if path.suffix != ".gz"}
    for name, path in manifest.items():
        data = (built.dist / path.removeprefix("/")).read_bytes()
        stem, _, kind = name.partition(".")
        assert path == f"/assets/{stem}-{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
        if kind == "js":
            assert 0 < len(gzip.compress(data, 9)) <= SCRIPT_BYTES_MAX[name], name


def test_the_page_names_only_itself(built: Built) -> None:
    html = (built.dist / "index.html").read_text("utf-8")
    assert re.findall(r"""(?:src|href)=["']?((?:https?:)?//[^"'>]*)""", html) == []
    assert "<style" not in html
    assert re.search(r"<script(?![^>]*\ssrc=)", html) is None
    assert re.search(r"\s(?:on\w+|style)=", html) is None


async def test_assets_are_kept_for_ever_and_the_page_is_asked_for_again(built: Built) -> None:
    page = await ask(built.dist, "/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    again = await ask(built.dist, "/", if_none_match=page.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    (script,) = re.findall(rb'src="(/assets/main-[0-9a-f]{16}\.js)"', page.body)
    (style,) = re.findall(rb'href="(/assets/style-[0-9a-f]{16}\.css)"', page.body)
    for path, kind in ((script.decode(), "text/javascript"), (style.decode(), "text/css")):
        plain = await ask(built.dist, path)
        packed = await ask(built.dist, path, accept_encoding="br, gzip")
        assert plain.headers["content-type"].startswith(kind)
        assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert int(packed.headers["content-length"]) == len(packed.body) < len(plain.body)
    for path in ("/.stamp", "/package.json", "/assets/../../package.json", script.decode() + ".gz"):
        assert (await ask(built.dist, path)).status == 404


async def test_nothing_may_come_from_elsewhere(built: Built) -> None:
    for path in ("/", "/nothing"):
        headers = (await ask(built.dist, path)).headers
        for name, value in HEADERS.items():
            assert headers[name.lower()] == value
    policy = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


async def test_a_node_without_a_page_says_how_to_build_it(tmp_path: Path) -> None:
    answer = await ask(tmp_path, "/")
    assert answer.status == 200
    assert b"run.py setup" in answer.body


def test_what_npm_fetches_is_locked_by_hash_and_has_no_address(built: Built) -> None:
    lock = json.loads((built.sources / "package-lock.json").read_text("utf-8"))
    asked = json.loads((built.sources / "package.json").read_text("utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
        assert not entry.get("hasInstallScript") or name == "node_modules/esbuild", name
    for name, version in (asked["dependencies"] | asked["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version
    platforms = {name.rpartition("/")[2] for name in packages if "/@esbuild/" in name}
    assert platforms >= {"linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"}
