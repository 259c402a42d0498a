"""A real OpenID provider as a process, and a browser without a window that logs in there."""

from __future__ import annotations

import http.cookiejar
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from simulations.processes import ROOT, die_with_parent
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["OpenIdProvider", "Visitor", "free_port", "missing"]

SCRIPT = Path(__file__).with_name("provider.mjs")
PACKAGE = ROOT / "client" / "web" / "node_modules" / "oidc-provider"
READY_S = PATIENCE_S


def missing() -> str:
    """Why the provider cannot be run here, or nothing."""
    if _node() is None:
        return "no Node"
    return "" if PACKAGE.is_dir() else "its package is not installed: `python3 run.py setup`"


def _node() -> str | None:
    return shutil.which("node") or shutil.which("node", path=str(ROOT / ".venv" / "bin"))


def free_port() -> int:
    """A port of this machine that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class OpenIdProvider:
    """The provider, for one redirect address; `url` is its issuer."""

    def __init__(self, redirect: str) -> None:
        self._redirect = redirect
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._argv = [str(_node()), str(SCRIPT), str(port), redirect]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=die_with_parent,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the provider did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class _Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Visitor:
    """Somebody with a browser that keeps cookies; `went` are the addresses it came to."""

    def __init__(self) -> None:
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies, _Stays())
        self.went: list[str] = []

    def log_in(self, url: str, name: str, stop: str = "#attestor-") -> tuple[str, str]:
        """Logs in as `name` and agrees; the address it ends at (with its fragment) and what it shows there."""
        form: dict[str, str] | None = None
        for _ in range(20):
            self.went.append(url)
            if stop in url:
                return url, ""
            body = urllib.parse.urlencode(form).encode() if form is not None else None
            status, headers, text = self._ask(url, body)
            form = None
            if status in (301, 302, 303, 307):
                url = urllib.parse.urljoin(url, headers["location"])
                continue
            action = re.search(r'action="([^"]+)"', text)
            if action is None:
                return url, text
            url = urllib.parse.urljoin(url, action[1])
            form = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', text))
            if 'name="login"' in text:
                form |= {"login": name, "password": "anything"}
        raise AssertionError(f"this never ends: {self.went}")

    def _ask(self, url: str, body: bytes | None) -> tuple[int, Any, str]:
        request = urllib.request.Request(url, body)
        try:
            with self._opener.open(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()
