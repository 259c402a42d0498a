"""Runs an attestor until a signal ends it."""

from __future__ import annotations

import os
import ssl
import time
from typing import TYPE_CHECKING

from p2pworld.crypto.keys import Signer
from shard_node.attestor.app import attestor_app
from shard_node.attestor.desk import AttestorDesk
from shard_node.attestor.memory import AttestorMemory, MemoryFailed
from shard_node.attestor.oidc import Provider
from shard_node.attestor.settings import read_secret, read_signer
from shard_node.errors import ConfigError
from shard_node.listening import listen_at
from shard_node.secret_files import write_new
from shard_node.web.serve import serve_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from shard_node.attestor.settings import AttestorConfig

__all__ = ["begin_attestor", "serve_attestor"]


def begin_attestor(config: AttestorConfig) -> bytes:
    """Makes what a new attestor needs and is not there: its key, its secret, its empty memory. Its public key.

    Raises ConfigError.
    """
    if not config.key_file.exists():
        write_new(config.key_file, Signer.from_seed(os.urandom(32)).to_pem())
    if not config.secret_file.exists():
        write_new(config.secret_file, f"{os.urandom(32).hex()}\n")
    signer, _ = read_signer(config.key_file), read_secret(config.secret_file)
    try:
        AttestorMemory.begin(config.data_dir)
    except MemoryFailed as error:
        raise ConfigError(f"Nothing was begun: {error}") from None
    return signer.public


async def serve_attestor(config: AttestorConfig, on_ready: Callable[[str], None]) -> None:
    """Answers until SIGTERM or SIGINT; `on_ready` is told the address.

    Raises ConfigError: key, secret or memory cannot be used.
    """
    signer, secret = read_signer(config.key_file), read_secret(config.secret_file)
    try:
        memory = AttestorMemory(config.data_dir)
    except MemoryFailed as error:
        raise ConfigError(f"attestor.data_dir cannot be used: {error}") from None
    try:
        desk = AttestorDesk(
            config, signer, secret, memory, time.monotonic, lambda: time.time_ns() // 1_000_000
        )
        provider = None
        if config.oidc is not None:
            provider = Provider(config.oidc, f"{config.public_url}/callback", ssl.create_default_context())
        await serve_alone(
            attestor_app(config, desk, provider), listen_at(config.listen, "attestor.listen"), on_ready
        )
    finally:
        memory.close()
