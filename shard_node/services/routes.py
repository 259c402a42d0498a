"""The routes of civic services on a node: those of each part, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shard_node.services.attestors import attestor_routes
from shard_node.services.reading import reading_routes
from shard_node.web.apply import apply_routes
from shard_node.web.attachments import attachment_routes
from shard_node.web.desk import desk_routes
from shard_node.web.desk_pages import desk_page_routes
from shard_node.web.feeds import feed_routes
from shard_node.web.follow_pages import FollowPages, follow_routes
from shard_node.web.open311 import open311_routes
from shard_node.web.openapi import openapi_routes
from shard_node.web.pages import Pages, pages_routes, read_assets
from shard_node.web.service_api import service_api_routes

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from shard_node.services.host import ServiceHost

__all__ = ["service_routes"]


def service_routes(host: ServiceHost) -> list[BaseRoute]:
    """The routes over one node's services."""
    pages = FollowPages(host, host.going_on, Pages(host, read_assets()))
    return [
        *attestor_routes(host),
        *attachment_routes(host.executor, host.desk, host.doors),
        *desk_routes(host),
        *reading_routes(host),
        *service_api_routes(host.index),
        *feed_routes(host.index),
        *apply_routes(host, host.gateway, host.offices, host.going_on, pages),
        *open311_routes(host, host.gateway, host.index),
        *openapi_routes(),
        *desk_page_routes(host),
        *follow_routes(pages),
        *pages_routes(host),
    ]
