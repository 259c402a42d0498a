"""The desk of a city's attestor as a process, for demos and tests: officials attest people there, with no login.

It signs with the city's `attestor.key`, which the nodes believe; officials have grants from the city's root. Like every
child it is killed when its parent dies.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Self

from shard_node.attestor.serve import begin_attestor
from shard_node.attestor.settings import load_attestor
from simulations.processes import start_child

if TYPE_CHECKING:
    from types import TracebackType

    from simulations.processes import City

__all__ = ["AttestorProcess"]


class AttestorProcess:
    """The attestor of a city whose nodes keep logs, as a context; it answers at `url`, http on this machine."""

    def __init__(self, city: City, url: str) -> None:
        self.url = url
        self._log = city.folder / "attestor.log"
        self._config = city.folder / "attestor.toml"
        self._config.write_text(
            f'[attestor]\nlisten = "{url.removeprefix("http://")}"\npublic_url = "{self.url}"\ndata_dir = "attestor"\n'
            'key_file = "attestor.key"\nsecret_file = "attestor.secret"\n'
            'name = { ko = "시연용 본인 확인 창구", en = "The desk of this demo" }\n'
            f"returns = {json.dumps([node.web_url for node in city.nodes])}\n"
            f'[desk]\nroots = ["{city.root.public.hex()}"]\n',
            encoding="utf-8",
        )
        begin_attestor(load_attestor(self._config))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            command = ["-m", "shard_node.cli", "attestor", "run", str(self._config)]
            self._process = start_child(command, log, log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
