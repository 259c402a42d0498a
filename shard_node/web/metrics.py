"""What a node tells Prometheus: every figure of it by name, with the sentence that explains it.

GAUGES and HISTOGRAMS are the whole list: a status that tells of something else is wrong. Labels have few values, each
known beforehand; no figure is of one person or one cell. The operators' page, the alert rules and the dashboard are
tested against what a node really tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

    from shard_node.stages import Histogram

__all__ = ["GAUGES", "HISTOGRAMS", "Figures", "registry"]

GAUGES: Final = {
    # who it is, and whether it may act
    "healthy": "1 if /healthz says ok.",
    "incarnation": "The number of this life of the node; 0 until the store has given one.",
    "uptime_s": "Seconds since the start.",
    "lease_left_s": "Seconds for which the lease surely holds.",
    "lapsed": "1 if the lease has run out: it takes in nobody and promises nothing.",
    "store_failures_in_a_row": "Questions that the coordination store has not answered since the last it did.",
    # the city map
    "map_version": "The version of the city map that was read last.",
    "map_read_ago_s": "Seconds since the map was last asked for.",
    "members": "Nodes in the city map, this one too.",
    "cells": "Regions of the city map.",
    "cells_unheld": "Regions that nobody holds.",
    "cells_held": "Regions that this node holds.",
    "cells_standby": "Regions that this node stands by for.",
    "cells_alone": "Regions that this node holds and nobody stands by for.",
    "links": "Other nodes it is linked with.",
    "links_wanted": "Other nodes it ought to be linked with.",
    # people
    "clients": "People who are logged in here.",
    "clients_max": "For how many there is room.",
    "avatars": "Avatars that are this node's.",
    "rows": "Avatars known here, the neighbours' too.",
    "directory": "Logins whose whereabouts this node keeps.",
    "play_open": "Open play sockets.",
    "play_lingering": "Play sockets that are being closed.",
    # load
    "load": "How much of the time between two ticks is used; 1 is all of it.",
    "tick_ms": "Milliseconds between two ticks; 100 unless the node is overloaded.",
    "tick_busy_s": "Seconds that the last tick took, without its frames.",
    "shed_level": "How much is left out of frames under overload.",
    "clock_ahead_s": "Seconds that this node's tick is ahead of the city's.",
    # objects and the disk
    "objects": "Objects on the ground it holds.",
    "acts_pending": "Acts that wait for the disk and the standby.",
    "writes_waiting": "Writes that are not yet durable.",
    "writes_failing": "1 if the disk refused the last write.",
    "disk_free_bytes": "Bytes free where data_dir is.",
    "disk_bytes": "Bytes of that disk, free and used.",
    "journal_bytes": "Bytes of the journal and its write-ahead log.",
    # what was lent for a time
    "grant_left_s": "Seconds until the first of this node's grants ends.",
    "certificate_left_s": "Seconds until the certificate that browsers see ends; absent without [tls].",
    "certificate_refused": "1 if the files of that certificate were refused at the last reload.",
    "store_certificate_left_s": "Seconds until coordination.cert_file ends; absent without one.",
}
HISTOGRAMS: Final = {
    "play_late_seconds": "How late play sockets were read.",
    "tick_late_seconds": "How late ticks began.",
    "commit_seconds": "How long the disk took to make a group of writes durable.",
    "store_seconds": "How long the coordination store took to answer, by what was asked; failures too.",
}


class Figures(Protocol):
    """What a node says of itself in numbers (`shard_node.status`)."""

    def build(self) -> Mapping[str, str]: ...

    def counters(self) -> Iterator[tuple[str, str, int]]: ...

    def gauges(self) -> Mapping[str, float]: ...

    def reasons(self) -> Mapping[str, bool]: ...

    def cpu_s(self) -> Mapping[str, float]: ...

    def histograms(self) -> Iterator[tuple[str, Mapping[str, str], Histogram]]: ...


def registry(figures: Figures) -> CollectorRegistry:
    """The registry of one node, with the figures of its process beside its own."""
    made = CollectorRegistry()
    made.register(_Collector(figures))
    ProcessCollector(registry=made)
    return made


class _Collector:
    """Reads the figures when Prometheus asks."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "p2pworld_build", "What runs here, and what it speaks.", dict(self._figures.build())
        )
        counted = CounterMetricFamily(
            "p2pworld_events", "What happened here, by part and by what it was.", labels=["part", "what"]
        )
        for part, what, count in self._figures.counters():
            counted.add_metric([part, what], count)
        yield counted
        spent = CounterMetricFamily(
            "p2pworld_cpu_seconds", "Seconds of CPU of the node's loop, by stage.", labels=["stage"]
        )
        for stage, seconds in self._figures.cpu_s().items():
            spent.add_metric([stage], seconds)
        yield spent
        unwell = GaugeMetricFamily(
            "p2pworld_unhealthy", "1 for each reason why /healthz says no.", labels=["reason"]
        )
        for reason, holds in self._figures.reasons().items():
            unwell.add_metric([reason], holds)
        yield unwell
        yield from self._histograms()
        for name, value in self._figures.gauges().items():
            yield GaugeMetricFamily(f"p2pworld_{name}", GAUGES[name], value)

    def _histograms(self) -> Iterator[Metric]:
        families: dict[str, HistogramMetricFamily] = {}
        for name, labels, histogram in self._figures.histograms():
            if name not in families:
                families[name] = HistogramMetricFamily(
                    f"p2pworld_{name}", HISTOGRAMS[name], labels=list(labels)
                )
            families[name].add_metric(list(labels.values()), histogram.buckets(), histogram.sum_s)
        yield from families.values()
