"""What a node tells Prometheus: every figure of it by name, with the sentence that explains it.

GAUGES, STREAM_GAUGES, HISTOGRAMS and COUNTERS are the whole list: nothing else is told. STREAM_GAUGES are told of each
civic log that the node may hold, some only while it does. EVENTS are those of the many
things counted that alert rules and dashboards may name: they are told from the start, at zero, so that the first one is
seen to happen. Labels have few values, each known beforehand; no figure is of one person or one cell.
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

__all__ = ["COUNTERS", "EVENTS", "GAUGES", "HISTOGRAMS", "STREAM_GAUGES", "Figures", "registry"]

GAUGES: Final = {
    # who it is, and whether it may act
    "healthy": "1 if /healthz says ok.",
    "incarnation": "The number of this life of the node; 0 until the store has given one.",
    "uptime_s": "Seconds since the start.",
    "lease_left_s": "Seconds for which the lease surely holds.",
    "lapsed": "1 if the lease has run out: it takes in nobody and promises nothing.",
    "draining": "1 while it gives its ground away.",
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
STREAM_GAUGES: Final = {
    "civic_held": "1 if this node holds the log, or stopped it because of an alarm.",
    "civic_read_only": "1 if the log takes nothing until people have looked at it.",
    "civic_failing": "1 if the last step of its holder failed; who files is soon told to ask again.",
    "civic_queue": "Submissions that wait for a batch.",
    "civic_size": "Entries of the log.",
    "civic_checkpoint_age_s": "Seconds since the last checkpoint was published; old is well if nothing is filed.",
    "civic_witnessed_size": "Entries under the last checkpoint that enough witnesses have signed here.",
    "civic_witnessed_age_s": "Seconds since then, or since the node holds the log.",
    "civic_witnesses_missing": "Witnesses that did not sign when they were asked last.",
    "civic_quorum_missing": "Signatures that were lacking for the quorum then.",
}
COUNTERS: Final = {
    "civic_failures": "Steps of a holder that did not happen, by stage and reason; `alarm` made the log read-only.",
    "civic_witness_answers": "Answers of each witness: `signed`, or why not.",
}
HISTOGRAMS: Final = {
    "play_late_seconds": "How late play sockets were read.",
    "tick_late_seconds": "How late ticks began.",
    "commit_seconds": "How long the disk took to make a group of writes durable.",
    "store_seconds": "How long the coordination store took to answer, by what was asked; failures too.",
    "civic_stage_seconds": "How long the steps of a civic log took; `whole`: from filed to answered.",
    "civic_batch_submissions": "How many submissions one transaction of the civic store had.",
}
EVENTS: Final = {
    ("node", "lapses"): "The lease ran out.",
    ("node", "incarnations-ended"): "A life of this node ended in the store; it registers anew.",
    ("node", "map-changes"): "A newer city map was read.",
    ("node", "map-went-back"): "An older city map was read than one it knew.",
    ("node", "handoff-prepare"): "A neighbour was asked to take somebody over.",
    ("node", "handoff-take"): "Somebody was taken over from a neighbour.",
    ("node", "handoff-refuse"): "A neighbour was told that somebody is not taken over.",
    ("node", "handoff-cancel_mine"): "A handoff that this node had asked for was given up.",
    ("node", "overrun-slow"): "Overload: the tick became twice as long.",
    ("node", "overrun-slowest"): "Overload: the tick became five times as long.",
    ("node", "readers-lost"): "Somebody was sent away for reading more than 10 s behind.",
    ("node", "acts-unanswered"): "An act passed on to another node was not answered.",
    ("node", "reports"): "Somebody reported somebody.",
    ("node", "filed-receipts"): "Who filed here was given a receipt.",
    (
        "node",
        "filed-civic-clock",
    ): "Who filed here was told of a wrong clock: theirs, or the holder's.",
    ("executor", "ticks"): "A tick.",
    ("executor", "ticks_missed"): "A tick was left out, because the one before took too long.",
    ("executor", "commits"): "The disk made a group of writes durable.",
    ("executor", "write_failed_full"): "A write failed: no room on the disk.",
    ("executor", "write_failed_io"): "A write failed: the disk did not do it.",
    ("executor", "store_failed_io"): "The coordination store was not reached, or did not answer in time.",
    ("executor", "store_failed_busy"): "The coordination store was locked, or had too much to do.",
    ("executor", "store_failed_full"): "The coordination store had no room.",
    (
        "executor",
        "store_failed_denied",
    ): "The coordination store refused the user, the password or a permission.",
    ("executor", "store_failed_untrusted"): "A certificate of the coordination store was not believed.",
    ("executor", "fenced"): "Something did not leave, because the lease had run out.",
    ("play", "opened"): "A play socket was opened.",
    ("play", "closed_full"): "Somebody was sent away: no room.",
    ("play", "closed_slow"): "A play socket that took nothing was closed.",
    ("play", "poses_in"): "A pose came.",
    ("play", "frames_sent"): "A frame left.",
    ("play", "frames_skipped"): "A frame was left out for a socket that was full.",
    ("play", "frames_late"): "A frame was dropped: the next was there before it had left.",
    ("play", "bytes_out"): "A byte left for a client.",
    ("play", "control_dropped"): "A message was dropped: its client sends too many.",
    ("play", "accept_out_of_files"): "Somebody had to wait at the door: no file descriptor was free.",
    ("links", "up"): "A link to another node came up.",
    ("links", "dial_failed"): "Another node could not be reached.",
    ("links", "refused_signature"): "A link was refused: a signature did not hold.",
    ("links", "refused_version"): "A link was refused: no common version.",
    ("links", "refused_grant-root"): "A link was refused: the grant begins at a root not known here.",
    (
        "links",
        "refused_grant-early",
    ): "A link was refused: the grant does not hold yet (or a clock is wrong).",
    ("links", "refused_grant-expired"): "A link was refused: the grant has ended.",
    ("links", "bytes_out"): "A byte left for another node.",
    ("links", "messages_out"): "A message left for another node.",
    ("surroundings", "certificate_reloaded"): "The certificate that browsers see was exchanged.",
    ("surroundings", "certificate_refused"): "The certificate was not exchanged: its files are broken.",
    ("surroundings", "disk_unseen"): "The disk could not be asked how much room it has.",
    (
        "index",
        "failed",
    ): "A civic log could not be read on into the index of cases, or that not be written to.",
    ("index", "made_anew"): "The file of the index was damaged, and is made anew from the logs.",
    (
        "index",
        "another_log",
    ): "A civic log is not the one that was read before, and is read from the beginning.",
    ("index", "strangers"): "An entry of a civic log is no leaf, and was passed over.",
    ("index", "strays"): "An act or event of a civic log is about no case, and was passed over.",
}


class Figures(Protocol):
    """What a node says of itself in numbers (`shard_node.status`)."""

    def build(self) -> Mapping[str, str]: ...

    def counters(self) -> Iterator[tuple[str, str, int]]: ...

    def gauges(self) -> Mapping[str, float]: ...

    def reasons(self) -> Mapping[str, bool]: ...

    def cpu_s(self) -> Mapping[str, float]: ...

    def histograms(self) -> Iterator[tuple[str, Mapping[str, str], Histogram]]: ...

    def streams(self) -> Iterator[tuple[str, Mapping[str, float]]]: ...

    def labelled_counters(self) -> Iterator[tuple[str, Mapping[str, str], int]]: ...


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
        counts = dict.fromkeys(EVENTS, 0)
        counts.update(((part, what), count) for part, what, count in self._figures.counters())
        for (part, what), count in counts.items():
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
        values = self._figures.gauges()
        for name, says in GAUGES.items():
            if name in values:
                yield GaugeMetricFamily(f"p2pworld_{name}", says, values[name])
        yield from self._streams()

    def _streams(self) -> Iterator[Metric]:
        gauges: dict[str, GaugeMetricFamily] = {}
        for stream, values in self._figures.streams():
            for name, value in values.items():
                if name not in gauges:
                    gauges[name] = GaugeMetricFamily(
                        f"p2pworld_{name}", STREAM_GAUGES[name], labels=["stream"]
                    )
                gauges[name].add_metric([stream], value)
        yield from gauges.values()
        counters: dict[str, CounterMetricFamily] = {}
        for name, labels, count in self._figures.labelled_counters():
            if name not in counters:
                counters[name] = CounterMetricFamily(f"p2pworld_{name}", COUNTERS[name], labels=list(labels))
            counters[name].add_metric(list(labels.values()), count)
        yield from counters.values()

    def _histograms(self) -> Iterator[Metric]:
        families: dict[str, HistogramMetricFamily] = {}
        for name, labels, histogram in self._figures.histograms():
            if name not in families:
                families[name] = HistogramMetricFamily(
                    f"p2pworld_{name}", HISTOGRAMS[name], labels=list(labels)
                )
            families[name].add_metric(list(labels.values()), histogram.buckets(), histogram.sum_s)
        yield from families.values()
