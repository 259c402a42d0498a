"""A real etcd for tests; where there is none they are skipped, saying what to install."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from simulations import etcd_server
from simulations.etcd_server import Member, ask

__all__ = ["EtcdServer", "Member", "ask"]


class EtcdServer(etcd_server.EtcdServer):
    """The same, or a skipped test."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        if shutil.which("etcd") is None:
            pytest.skip(
                "NO ETCD: install Debian's etcd-server (or any etcd 3.4 or newer) to have this test run"
            )
        super().__init__(*arguments, **options)
