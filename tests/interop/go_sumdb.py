"""Go's packages for notes and tiled logs as a process that answers questions (`sumdb/main.go`), built once a session.

The build is offline: the packages lie where Debian's golang-golang-x-mod-dev puts them, and nothing else is looked for.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from simulations.processes import die_with_parent

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["GoAnswer", "GoSumdb", "go_program"]

SOURCE = Path(__file__).with_name("sumdb") / "main.go"
GOPATH = Path("/usr/share/gocode")
PACKAGE = GOPATH / "src/golang.org/x/mod/sumdb/tlog/tlog.go"


def go_program(folder: Path) -> Path:
    """The built program in `folder`; without Go and its packages the test is skipped, saying what to install."""
    go = shutil.which("go")
    if go is None or not PACKAGE.exists():
        pytest.skip("NO GO: install Debian's golang-go and golang-golang-x-mod-dev to have this test run")
    program = folder / "sumdb"
    own = {
        "GO111MODULE": "off",
        "GOPATH": str(GOPATH),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    subprocess.run([go, "build", "-o", program, SOURCE], env={**os.environ, **own}, check=True)
    return program


class GoAnswer(dict[str, Any]):
    """What the program said; bytes are bytes again."""

    @property
    def error(self) -> str:
        """Why it could not, or an empty string."""
        return str(self.get("error", ""))


class GoSumdb:
    """The running program; one question after the other."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=die_with_parent
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def ask(self, op: str, **fields: object) -> GoAnswer:
        """The answer to one request, whose fields are those of `request` in main.go."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"Op": op} | fields, default=_base64).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the Go program has ended"
        return GoAnswer({name: _bytes(name, value) for name, value in json.loads(line).items()})


def _base64(value: object) -> str:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()


def _bytes(name: str, value: Any) -> Any:
    """The base64 of Go's []byte as bytes, at any depth; `error`, `text` and `signers` are text."""
    if name in ("error", "text", "signers"):
        return value
    if isinstance(value, dict):
        return {key: base64.b64decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [base64.b64decode(item) for item in value]
    return base64.b64decode(value)
