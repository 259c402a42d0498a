"""The attestor of a city on this machine: a process of its own, at whose desk the city's official attests people."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from simulations.processes import free_ports, start_child

if TYPE_CHECKING:
    from pathlib import Path

    from simulations.processes import City

__all__ = ["AttestorProcess"]

_COMMAND = ("-m", "shard_node.cli", "attestor")
_BEGIN_S = 120.0
_END_S = 60.0


class AttestorProcess:
    """It signs with `attestor.key` of the city's folder, which the nodes that hold logs believe."""

    def __init__(self, city: City) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._folder = city.folder
        self._config = city.folder / "attestor.toml"
        self._config.write_text(
            f'[attestor]\nlisten = "127.0.0.1:{port}"\npublic_url = "{self.url}"\ndata_dir = "attestor"\n'
            'key_file = "attestor.key"\nsecret_file = "attestor.secret"\n'
            'name = { ko = "주민센터 창구", en = "Community centre" }\n'
            f"returns = {json.dumps([node.web_url for node in city.nodes])}\n"
            f'\n[desk]\nroots = ["{city.root.public.hex()}"]\n',
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it says."""
        return self._folder / "attestor.log"

    def start(self) -> None:
        """Starts it, in the folder made ready for it.

        Raises:
            OSError: it cannot be made ready; its log says why.
        """
        with self.log.open("ab") as log:
            begun = start_child([*_COMMAND, "begin", str(self._config)], log, log)
            if begun.wait(_BEGIN_S) != 0:
                raise OSError(f"the attestor cannot begin: see {self.log}")
            self._process = start_child([*_COMMAND, "run", str(self._config)], log, log)

    def end(self) -> None:
        """Ends it, if it was started; it keeps nothing that has to be put away."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
