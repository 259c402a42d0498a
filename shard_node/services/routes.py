"""The routes of civic services on a node: those of each part, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shard_node.web.apply import apply_routes
from shard_node.web.open311 import open311_routes
from shard_node.web.openapi import openapi_routes

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from shard_node.services.host import ServiceHost

__all__ = ["service_routes"]


def service_routes(host: ServiceHost) -> list[BaseRoute]:
    """The routes over one node's services."""
    return [
        *apply_routes(host, host.gateway, host.offices),
        *open311_routes(host, host.gateway, host.index),
        *openapi_routes(),
    ]
