"""A city with civic logs and services for tests of the citizen's pages: one node, and a person at a form."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from click.testing import CliRunner

from client.attesting import attest_seen
from p2pworld.crypto.keys import Signer
from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.seoul.landmarks import landmark
from shard_node.cli import main
from simulations.processes import City, free_ports, start_child
from tests.attestor.provider import OpenIdProvider
from tests.patience import PATIENCE_MS
from tests.web.visit import CITY_S, POLL_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.web.conftest import Troubles

__all__ = ["Office", "at", "citizen", "findings", "live", "served_office"]

ROOT, OFFICIAL = Signer.from_seed(b"r" * 32), Signer.from_seed(b"o" * 32)
DAY_MS: Final = 86_400_000
STREAMS: Final = ("city", "jongno", "jung", "seongbuk")
# Chromium says so of every answer that is no 200, those too that a test waits for
HARMLESS_ANSWER: Final = "Failed to load resource"


@dataclass(frozen=True, slots=True)
class Office:
    """The city, where its node's pages are, the folder of declarations that it looks at, and who attests people."""

    city: City
    url: str
    folder: Path
    attestor_url: str

    def acts(self, number: str, action: str, *words: str) -> None:
        """What an official of Jongno does with a case, at a desk without a browser."""
        stream, entry = number.split("/")
        folder, (node,) = self.city.folder, self.city.nodes
        keys = ("--key", folder / "desk.key", "--grants", folder / "desk.grant")
        office = ("--office-secret", folder / "office.secret", "--log-key", self.city.log_keys[stream])
        where = ("--node", node.web_url, "--out", folder / "acts")
        told = ("desk", *where, *keys, *office, "act", stream, entry, action, *words)
        done = CliRunner().invoke(main, list(map(str, told)))
        assert done.exit_code == 0, f"{action}: {done.output}\n{node.log_tail(20)}"

    def saves(self, number: str, digest: str) -> bytes:
        """A file that is attached to a case, or to a letter in it, as the same official opens it."""
        stream, entry = number.split("/")
        folder, (node,) = self.city.folder, self.city.nodes
        keys = ("--key", folder / "desk.key", "--grants", folder / "desk.grant")
        office = ("--office-secret", folder / "office.secret", "--log-key", self.city.log_keys[stream])
        out = folder / f"saved-{digest}"
        told = ("desk", "--node", node.web_url, "--out", out, *keys, *office, "save", stream, entry, digest)
        done = CliRunner().invoke(main, list(map(str, told)))
        assert done.exit_code == 0, done.output
        (file,) = out.iterdir()
        return file.read_bytes()

    def attests(self, number: str) -> str:
        """The code of an official who has seen somebody with a document of this number."""
        key, grants = self.folder / "official.key", self.folder / "official.grant"
        return attest_seen(self.attestor_url, key, grants, number, "jongno")


@contextmanager
def served_office(folder: Path, *, with_logins: bool = False) -> Iterator[Office]:
    """One node that holds some offices' logs and serves their pages; with logins there is a real OpenID provider, of
    `tests.attestor`, by which the attestor knows people too."""
    with ExitStack() as beside:
        yield beside.enter_context(_served_office(folder, beside if with_logins else None))


@contextmanager
def _served_office(folder: Path, beside: ExitStack | None) -> Iterator[Office]:
    declared = folder / "services"
    declared.mkdir(parents=True)
    city = City(folder / "city", 1, (landmark("Seoul City Hall"),), ttl_s=3.0)
    (node,) = city.nodes
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    issuer = beside.enter_context(OpenIdProvider(f"{url}/callback")).url if beside is not None else ""
    key = _begin_attestor(folder / "attestor", url, declared, node.web_url, issuer)
    city.keep_logs(STREAMS, city.nodes, services=declared, attestor_url=url)
    believed = city.signer("attestor").public.hex()
    node.config.write_text(node.config.read_text("utf-8").replace(believed, key), "utf-8")
    attestor = start_child(
        ["-P", "-m", "shard_node.cli", "attestor", "run", str(folder / "attestor" / "attestor.toml")],
        subprocess.PIPE,
        subprocess.DEVNULL,
    )
    _write_official(city.folder / "desk", city.root)
    try:
        city.start()
        assert attestor.stdout is not None
        assert attestor.stdout.readline().decode().strip() == url
        until_s = time.monotonic() + CITY_S
        while waits := city.not_ready() or _unheld(node.ask_json("/civic/streams")):
            assert not city.dead(), node.log_tail(40)
            assert time.monotonic() < until_s, f"the city is not ready: {waits}\n{node.log_tail(40)}"
            time.sleep(POLL_S)
        yield Office(city, node.web_url, declared, url)
    finally:
        city.end()
        attestor.terminate()
        attestor.wait(30)
        if attestor.stdout is not None:
            attestor.stdout.close()


def _begin_attestor(folder: Path, url: str, official: Path, page: str, issuer: str) -> str:
    """The key of an attestor that believes one official, whose key and grants lie in `official`, and whoever logs in
    at this issuer, if there is one, from this page."""
    folder.mkdir()
    (folder / "oidc.secret").write_text("a secret of thirty-two characters\n", "utf-8")
    login = (
        f'[oidc]\nissuer = "{issuer}"\nclient_id = "attestor"\nclient_secret_file = "oidc.secret"\n'
        'scope = "openid address"\ngu_claim = "address.locality"\n'
    )
    config = folder / "attestor.toml"
    config.write_text(
        f'[attestor]\nlisten = "{url.removeprefix("http://")}"\npublic_url = "{url}"\n'
        'data_dir = "data"\nkey_file = "attestor.key"\nsecret_file = "attestor.secret"\n'
        f'name = {{ ko = "시민 확인", en = "People" }}\nreturns = ["{page}"]\n{login if issuer else ""}'
        f'[desk]\nroots = ["{ROOT.public.hex()}"]\n',
        "utf-8",
    )
    _write_official(official / "official", ROOT)
    begun = CliRunner().invoke(main, ["attestor", "begin", str(config)], catch_exceptions=False)
    assert begun.exit_code == 0, begun.output
    return begun.output.strip()


def _write_official(stem: Path, root: Signer) -> None:
    """The files of an official of Jongno and of the city: `stem.key`, and `stem.grant` by this root."""
    now_ms = time.time_ns() // 1_000_000
    scope = ("streams:city", "streams:jongno")
    grant = sign_grant(root, OFFICIAL.public, "official", scope, now_ms - DAY_MS, now_ms + DAY_MS)
    stem.with_suffix(".key").write_text(OFFICIAL.to_pem(), "utf-8")
    stem.with_suffix(".grant").write_text(grant_to_text(grant) + "\n", "utf-8")


def _unheld(told: dict[str, Any]) -> str:
    held = {stream["stream"] for stream in told.get("streams", ()) if stream["here"]}
    return ", ".join(sorted(set(STREAMS) - held))


@contextmanager
def citizen(browser: Browser, troubles: Troubles | None = None, **options: Any) -> Iterator[Page]:
    """Somebody new, with a browser of their own."""
    size = {"width": 1280, "height": 900}
    context: BrowserContext = browser.new_context(**({"locale": "ko-KR", "viewport": size} | options))
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    if troubles is not None:
        page.on("pageerror", lambda error: troubles.seen.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: (
                troubles.seen.append(message.text)
                if message.type in ("error", "warning") and HARMLESS_ANSWER not in message.text
                else None
            ),
        )
    try:
        yield page
    finally:
        context.close()


def at(page: Page, office: Office, path: str) -> None:
    """Opens a page, and waits until its script has made it live."""
    page.goto(f"{office.url}{path}")
    live(page)


def live(page: Page) -> None:
    """Waits until the script of the page that was come to has made it live."""
    page.locator("body[data-live]").wait_for(state="attached")


def findings(page: Page, state: str) -> list[str]:
    """The serious and critical findings of axe-core on the page as it is now, a line each."""
    answer: dict[str, Any] = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    assert answer["passes"], "axe-core looked at nothing"
    return [
        f"{state}: {one['impact']} {one['id']}: {node['target']} {node['failureSummary']}"
        for one in answer["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
