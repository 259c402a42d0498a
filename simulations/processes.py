"""A small city of real node processes on this machine: keys, grants, configurations, start, death, end.

The ground around some landmarks is cut into equal cells and dealt out so that neighbours always differ: whoever walks
along a route crosses from process to process. No process outlives the one that started it.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from p2pworld.crypto.keys import NodeKeys, Signer
from p2pworld.crypto.seal import sealing_public, secret_of_text, secret_text
from p2pworld.geometry import Cell, cover_gaps, level_of_side_m
from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.limits import TICK_MS
from p2pworld.merkle.note import NoteSigner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from p2pworld.seoul.landmarks import Landmark
    from simulations.fabric import Host

__all__ = [
    "City",
    "NodeProcess",
    "begin_child",
    "checkerboard",
    "die_with_parent",
    "free_ports",
    "python_environment",
    "start_child",
]

ROOT: Final = Path(__file__).resolve().parent.parent
GRANT_MS: Final = 30 * 24 * 3_600_000
MARGIN_M: Final = 64.0
PORTS: Final = (20_000, 32_000)  # below those that outgoing connections take
ASK_S: Final = 5.0
TERM_WAIT_S: Final = 60.0  # only one that does not end takes so long
PR_SET_PDEATHSIG: Final = 1

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def checkerboard(places: Iterable[Landmark], side_m: float, nodes: int) -> list[list[Cell]]:
    """The cells of `side_m` around all the places, dealt to so many nodes that no two neighbours by a side are one's.

    Raises:
        ValueError: no cell has this side.
    """
    level = level_of_side_m(side_m)
    east_cm, north_cm = zip(*(place.position_cm for place in places), strict=True)
    margin_cm, side_cm = round(MARGIN_M * 100), round(side_m * 100)
    columns = range((min(east_cm) - margin_cm) // side_cm, (max(east_cm) + margin_cm) // side_cm + 1)
    rows = range((min(north_cm) - margin_cm) // side_cm, (max(north_cm) + margin_cm) // side_cm + 1)
    dealt: list[list[Cell]] = [[] for _ in range(nodes)]
    for row in rows:
        for column in columns:
            cell = Cell.at(column * side_cm, row * side_cm, level)
            dealt[(column + row * (2 if nodes > 2 else 1)) % nodes].append(cell)
    return dealt


def free_ports(count: int) -> list[int]:
    """So many TCP ports of this machine that nobody listens on now.

    Raises:
        OSError: there are not that many.
    """
    found: list[int] = []
    for port in random.sample(range(*PORTS), PORTS[1] - PORTS[0]):
        if len(found) == count:
            return found
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    raise OSError("this machine has no free TCP ports")


def python_environment() -> dict[str, str]:
    """The environment in which a child finds these packages."""
    path = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": str(ROOT) + (os.pathsep + path if path else "")}


def die_with_parent() -> None:
    """For `preexec_fn`: the child is killed when the thread that started it dies."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def begin_child(enter: Callable[[], None] | None) -> Callable[[], None]:
    """For `preexec_fn`: the same, on the host that `enter` puts it on."""

    def begin() -> None:
        if enter is not None:
            enter()
        die_with_parent()

    return begin


def start_child(
    arguments: Sequence[str],
    stdout: Any,
    stderr: Any,
    enter: Callable[[], None] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Starts this Python with `arguments`, in a session of its own; the child is killed when its parent dies.

    Raises:
        OSError: it cannot be started.
    """
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=python_environment(),
        start_new_session=True,
        preexec_fn=begin_child(enter),
    )


@dataclass(slots=True)
class NodeProcess:
    """One node: where it is reached, what it claims, and its process while it has one."""

    name: str
    keys: NodeKeys
    play_url: str
    web_url: str
    cells: list[Cell]
    config: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    enter: Callable[[], None] | None = None  # puts its process on the host it has to itself
    program: str = "shard_node"

    @property
    def running(self) -> bool:
        """Whether its process exists."""
        return self.process is not None and self.process.poll() is None

    def start(self, module: str = "") -> None:
        """Starts it (again), with the same keys, ports and data; `module` (default: `program`) is what is run."""
        with self.log.open("ab") as log:
            command = ["-m", module or self.program, "--config", str(self.config)]
            self.process = start_child(command, log, log, self.enter)

    def signal(self, number: int) -> None:
        """Sends its process a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it without a word, and waits until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def ask(self, path: str) -> bytes | None:
        """What its web answers at `path`, whatever the status; None if it does not answer."""
        try:
            with urllib.request.urlopen(self.web_url + path, timeout=ASK_S) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            return error.read()
        except (OSError, ValueError):
            return None

    def ask_json(self, path: str) -> dict[str, Any]:
        """The JSON object its web answers at `path`, empty if it does not."""
        answer = self.ask(path)
        try:
            value = json.loads(answer) if answer else {}
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def log_tail(self, lines: int = 12) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


ORIGIN: Final = "seoul.example"  # of its civic logs
SQLITE: Final = 'engine = "sqlite"\npath = "city.sqlite"\n'


class City:
    """Nodes over one coordination store, by default in `folder`; as a context it ends all its processes.

    Each holds the regions that `dealt` gives it, or its share of those around `places`, and of the rest of the root.
    `tls` are a certificate and its key, in PEM, for the play sockets, `store` is the text of their `[coordination]`,
    `more` that of further tables.
    With `hosts` each node is on one of its own, else all are on this machine's loopback.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int,
        places: Iterable[Landmark],
        side_m: float = 128,
        *,
        ttl_s: float | None = None,
        take_orphans: bool = True,
        dealt: Sequence[Sequence[Cell]] | None = None,
        tick_ms: int = TICK_MS,
        tls: tuple[Path, Path] | None = None,
        declared: Path | None = None,
        store: str = SQLITE,
        hosts: Sequence[Host] = (),
        more: str = "",
    ) -> None:
        self.folder = folder
        self.log_keys: dict[str, str] = {}  # of civic logs, by stream
        folder.mkdir(parents=True, exist_ok=True)
        self.root = root = Signer.from_seed(os.urandom(32))
        self.official = folder / "official.key", folder / "official.grant"
        self._grant("official", NodeKeys.from_seed(os.urandom(32)), "official")
        ports = free_ports(3 * nodes)
        self.nodes: list[NodeProcess] = []
        regions = [list(cells) for cells in dealt or checkerboard(places, side_m, nodes)]
        # the rest of the root, so that nobody has to look for orphans later
        for number, cell in enumerate(cover_gaps(cell for cells in regions for cell in cells)):
            regions[number % nodes].append(cell)
        for number, cells in enumerate(regions):
            name = f"node-{number + 1}"
            keys = NodeKeys.from_seed(os.urandom(32))
            host = hosts[number] if hosts else None
            address = host.address if host else "127.0.0.1"
            play, link, web = (f"{address}:{port}" for port in ports[3 * number : 3 * number + 3])
            self._grant(name, keys, "shard")
            config = folder / f"{name}.toml"
            config.write_text(
                f'[node]\nname = "{name}"\ndata_dir = "{name}"\nkey_file = "{name}.key"\n'
                f'grant_file = "{name}.grant"\nroots = ["{root.public.hex()}"]\n\n'
                f'[listen]\nplay = "{play}"\nlink = "{link}"\nweb = "{web}"\n\n'
                f"[coordination]\n{store}\n"
                f"[city]\nclaim = [{', '.join(json.dumps(str(cell)) for cell in cells)}]\n"
                f"take_orphans = {str(take_orphans).lower()}\ntick_ms = {tick_ms}\n"
                + (f"ttl_s = {ttl_s}\n" if ttl_s is not None else "")
                + (f"declared = {json.dumps(str(declared))}\n" if declared is not None else "")
                + f"\n{more}"
                + (f'\n[tls]\nplay_cert = "{tls[0]}"\nplay_key = "{tls[1]}"\n' if tls else ""),
                encoding="utf-8",
            )
            self.nodes.append(
                NodeProcess(
                    name,
                    keys,
                    f"{'wss' if tls else 'ws'}://{play}/play",
                    f"http://{web}",
                    cells,
                    config,
                    folder / f"{name}.log",
                    enter=host.enter if host else None,
                )
            )

    def _grant(self, name: str, keys: NodeKeys, role: str) -> None:
        """Writes a key and the grant that gives it a role in the whole city, and at each of its offices."""
        now_ms = time.time_ns() // 1_000_000
        scope = ("cells:*", "streams:*") if role == "official" else ("cells:*",)
        grant = sign_grant(self.root, keys.public, role, scope, now_ms - 60_000, now_ms + GRANT_MS)
        _write_secret(self.folder / f"{name}.key", keys.to_pem())
        (self.folder / f"{name}.grant").write_text(grant_to_text(grant) + "\n", encoding="utf-8")

    def keep_logs(
        self,
        streams: Sequence[str],
        nodes: Iterable[NodeProcess],
        store: str = "",
        services: Path | None = None,
        attestor_url: str = "",
    ) -> dict[str, str]:
        """Has these nodes, before they are started, hold civic logs; the logs' public keys by stream.

        Beside the key of the logs and the offices' sealing key, the folder then has those of an attestor, of a gateway
        and of the office in draws, `*.key`, which the nodes believe. `store` is the value of their `civic.store`: by
        default each has a file of its own; in `services` are more declarations; people are sent to `attestor_url`.
        """
        self._make_keys()
        offices = ", ".join(
            f'{{ stream = "{stream}", name = "office", key = "{self.office_key.hex()}" }}'
            for stream in streams
        )
        chosen = list(nodes)
        self.offer_services(chosen, services, attestor_url)
        for node in chosen:
            with node.config.open("a", encoding="utf-8") as config:
                config.write(
                    f'\n[civic]\norigin = "{ORIGIN}"\nstreams = {json.dumps(list(streams))}\n'
                    f"store = {store or json.dumps(f'{node.name}.civic')}\n"
                    f'publish = "{node.name}-log"\nkey_file = "civic.key"\noffice = [{offices}]\n'
                )
        signer = self.signer("civic")
        self.log_keys |= {stream: NoteSigner(f"{ORIGIN}/{stream}", signer).key.text for stream in streams}
        return self.log_keys

    def offer_services(
        self, nodes: Iterable[NodeProcess], services: Path | None = None, attestor_url: str = ""
    ) -> None:
        """Has these nodes, before they are started, offer what is declared, with the same keys as `keep_logs`."""
        self._make_keys()
        attestor, gateway = (self.signer(name).public.hex() for name in ("attestor", "gateway"))
        for node in nodes:
            with node.config.open("a", encoding="utf-8") as config:
                config.write(
                    f'\n[services]\nattestors = ["{" ".join(filter(None, (attestor, attestor_url)))}"]\n'
                    f'gateways = ["{gateway}"]\ngateway_key_file = "gateway.key"\ndraw_key_file = "draw.key"\n'
                    + (f'folder = "{services}"\n' if services is not None else "")
                )

    def _make_keys(self) -> None:
        if not (self.folder / "office.secret").exists():
            for name in ("civic", "attestor", "gateway", "draw"):
                _write_secret(self.folder / f"{name}.key", Signer.from_seed(os.urandom(32)).to_pem())
            _write_secret(self.folder / "office.secret", secret_text(os.urandom(32)))

    def signer(self, name: str) -> Signer:
        """One of the keys in the folder."""
        return Signer.from_text((self.folder / f"{name}.key").read_text(encoding="utf-8"))

    @property
    def office_key(self) -> bytes:
        """Whom what is filed is sealed for, once there are logs."""
        return sealing_public(secret_of_text((self.folder / "office.secret").read_text(encoding="utf-8")))

    @property
    def play_urls(self) -> list[str]:
        """Where clients log in."""
        return [node.play_url for node in self.nodes]

    def start(self) -> None:
        """Starts every node."""
        for node in self.nodes:
            node.start()

    def dead(self) -> list[NodeProcess]:
        """Nodes that were started and whose process has ended."""
        return [node for node in self.nodes if node.process is not None and not node.running]

    def not_ready(self, nodes: Iterable[NodeProcess] | None = None) -> str:
        """What `nodes` (default: all) still wait for, as a few words; empty when they serve the whole city.

        Every one of them is healthy, linked with all the others, and every region is held by one of them and has a
        standby, if there is another node to be it.
        """
        those = list(self.nodes if nodes is None else nodes)
        for node in those:
            health = node.ask_json("/healthz")
            if not health.get("ok"):
                return f"{node.name}: {', '.join(health.get('reasons', ())) or 'does not answer yet'}"
            if health.get("links") != len(those) - 1:
                return f"{node.name}: linked with {health.get('links')} of {len(those) - 1}"
        regions = those[0].ask_json("/api/v1/regions").get("regions", ())
        keys = {node.keys.public.hex() for node in those}
        open_regions = sum(region["holder"] not in keys for region in regions)
        if open_regions or not regions:
            return f"{open_regions} regions without a holder"
        alone = sum(not region["standbys"] for region in regions)
        return f"{alone} regions without a standby" if alone and len(those) > 1 else ""

    def counted(self, prefix: str, nodes: Iterable[NodeProcess] | None = None) -> int:
        """The sum of everything `nodes` (default: all) counted whose name begins with `prefix`."""
        total = 0.0
        for node in self.nodes if nodes is None else nodes:
            for line in (node.ask("/metrics") or b"").decode("utf-8", "replace").splitlines():
                if line.startswith("p2pworld_events_total{") and f'what="{prefix}' in line:
                    total += float(line.rpartition(" ")[2])
        return round(total) if math.isfinite(total) else 0

    def end(self) -> list[NodeProcess]:
        """Ends every process, politely first; those that had to be killed."""
        stubborn = []
        for node in self.nodes:
            if node.running:
                node.signal(signal.SIGCONT)
                node.signal(signal.SIGTERM)
        until_s = time.monotonic() + TERM_WAIT_S
        for node in self.nodes:
            if node.process is None:
                continue
            try:
                node.process.wait(max(0.1, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                stubborn.append(node)
                node.kill()
        return stubborn

    def __enter__(self) -> City:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _write_secret(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
