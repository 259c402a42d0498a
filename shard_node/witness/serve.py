"""Runs a witness until a signal ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.civic.witness import Witness
from shard_node.errors import ConfigError
from shard_node.listening import listen_at
from shard_node.web.serve import serve_alone
from shard_node.witness.app import WitnessDesk, witness_app
from shard_node.witness.memory import MemoryFailed, WitnessMemory
from shard_node.witness.settings import load_signers

if TYPE_CHECKING:
    from collections.abc import Callable

    from shard_node.witness.settings import WitnessConfig

__all__ = ["serve_witness"]


async def serve_witness(config: WitnessConfig, on_ready: Callable[[str], None]) -> None:
    """Answers logs until SIGTERM or SIGINT; `on_ready` is told the address.

    Raises ConfigError: key or memory cannot be used.
    """
    signers = load_signers(config.key_file)
    try:
        memory = WitnessMemory(config.data_dir)
    except MemoryFailed as error:
        raise ConfigError(f"witness.data_dir cannot be used: {error}") from None
    try:
        desk = WitnessDesk(Witness(signers, config.logs), memory, config.data_dir)
        await serve_alone(witness_app(desk), listen_at(config.listen, "witness.listen"), on_ready)
    finally:
        memory.close()
