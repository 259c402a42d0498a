"""A witness's configuration: one TOML file, checked whole, every fault one sentence.

[witness]
listen   = "127.0.0.1:7900"          (plain HTTP: a web server with a certificate stands before it)
data_dir = "witness"                 (what it remembers, and proofs of forks)
key_file = "witness.key"             (made by `p2pworld witness key`)
logs     = ["name+id+base64", ...]   (the keys of the logs it follows; a log with several keys has several)
[log]    as for a node
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import WITNESS_LOGS_MAX
from p2pworld.merkle.note import COSIGNATURE, NoteSigner, VerifierKey
from shard_node.config import FORMATS, LEVELS, Address, LogConfig, Table, read_tables
from shard_node.errors import ConfigError

__all__ = ["WitnessConfig", "load_signers", "load_witness"]


@dataclass(frozen=True, slots=True)
class WitnessConfig:
    """Everything a witness is told at its start; `logs` are keys by what the log is called."""

    listen: Address
    data_dir: Path
    key_file: Path
    logs: dict[str, tuple[VerifierKey, ...]]
    log: LogConfig


def load_witness(path: Path) -> WitnessConfig:
    """The configuration in the file at `path`.

    Raises ConfigError.
    """
    tables = read_tables(path)
    table = Table("witness", tables.pop("witness", {}), path.parent)
    log_table = Table("log", tables.pop("log", {}), path.parent)
    for name in tables:
        raise ConfigError(f"[{name}] is not a known table: remove it or correct its spelling.")
    config = WitnessConfig(
        listen=table.address("listen"),
        data_dir=table.path("data_dir"),
        key_file=table.path("key_file", must_exist=True),
        logs=_logs(table.texts("logs", at_least=1)),
        log=LogConfig(
            log_table.one_of("level", LEVELS, "info"),
            log_table.one_of("format", FORMATS, "text"),
        ),
    )
    table.done()
    log_table.done()
    return config


def _logs(texts: tuple[str, ...]) -> dict[str, tuple[VerifierKey, ...]]:
    if len(texts) > WITNESS_LOGS_MAX:
        raise ConfigError(f"witness.logs holds more than {WITNESS_LOGS_MAX} keys: follow fewer logs.")
    logs: dict[str, tuple[VerifierKey, ...]] = {}
    for text in texts:
        try:
            key = VerifierKey.parse(text)
        except RemoteError as error:
            raise ConfigError(f"witness.logs holds {text!r}: {error}.") from None
        if key.algorithm == COSIGNATURE:
            raise ConfigError(f"witness.logs holds {text!r}, which is the key of a witness, not of a log.")
        logs[key.name] = (*logs.get(key.name, ()), key)
    return logs


def load_signers(path: Path) -> tuple[NoteSigner, ...]:
    """The witness's secret keys, one a line; while a key is being changed there are two.

    Raises ConfigError.
    """
    try:
        signers = tuple(NoteSigner.parse(line) for line in path.read_text("utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    except LocalError:
        signers = ()
    if not signers or any(signer.key.algorithm != COSIGNATURE for signer in signers):
        raise ConfigError(f"{path} holds no witness's key: make one with `p2pworld witness key`.")
    return signers
