"""The figures of the civic logs that this node may hold, for /metrics: what each holder told, since the node began.

Figures outlive the holder that told them: what failed stays counted, and a log that was made read-only is told so until
another holder begins here.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from shard_node.civic.holder import CivicHolder, CivicMeter
from shard_node.civic.witnesses import SIGNED
from shard_node.stages import WAIT_S, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from p2pworld.errors import Refusal

__all__ = ["BATCH", "CivicFigures", "LogFigures"]

log = logging.getLogger(__name__)

BATCH: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)  # up to CIVIC_BATCH_MAX


class LogFigures(CivicMeter):
    """What the holders of one stream told here, counted, told to the log where somebody should hear of it.

    `quorum` witnesses must sign; `counters` are those of all streams together.
    """

    def __init__(
        self,
        stream: str,
        quorum: int,
        counters: Counter[str],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failing = ""  # the step that failed last, and why; until one goes well
        self.alarmed: Refusal | None = None
        self._stream, self._counters = stream, counters
        self.stages: dict[str, Histogram] = {}
        self.batches = Histogram(BATCH)
        self.failures: Counter[tuple[str, str]] = Counter()  # by stage and reason
        self.answers: Counter[tuple[str, str]] = Counter()  # by witness and outcome
        self._quorum = quorum
        self._clock_s = clock_s
        self._holder: CivicHolder | None = None
        self._checkpoint_s = self._witnessed_s = clock_s()
        self._witnessed_size = 0
        self._last: dict[str, str] = {}  # what each witness did when it was asked last

    # ---- told by the holder

    def began(self, holder: CivicHolder) -> None:
        """See `CivicMeter.began`."""
        self._holder, self.failing, self.alarmed = holder, "", None
        self._checkpoint_s = self._witnessed_s = self._clock_s()

    def ended(self) -> None:
        """See `CivicMeter.ended`."""
        self._holder = None

    def took(self, stage: str, seconds: float) -> None:
        """See `CivicMeter.took`."""
        if stage != "whole":
            self.failing = ""
        if stage not in self.stages:
            self.stages[stage] = Histogram(WAIT_S)
        self.stages[stage].took(seconds)

    def batch(self, submissions: int, entries: int) -> None:
        """See `CivicMeter.batch`."""
        self.batches.took(submissions)
        self._counters["batches"] += 1
        self._counters["submissions"] += submissions
        self._counters["entries"] += entries

    def failed(self, stage: str, reason: str) -> None:
        """See `CivicMeter.failed`."""
        self.failures[stage, reason] += 1
        self._counters[f"failed_{stage.lower()}"] += 1
        failing = f"{stage.lower()}_{reason}"
        if failing != self.failing:
            extra = {"stream": self._stream, "step": stage, "reason": reason}
            trouble = str((self._holder and self._holder.trouble) or reason)
            log.error(
                "civic log %s: %s failed; it is tried again. %s", self._stream, stage, trouble, extra=extra
            )
        self.failing = failing

    def published(self, size: int) -> None:
        """See `CivicMeter.published`."""
        self._checkpoint_s = self._clock_s()

    def witnessed(self, size: int) -> None:
        """See `CivicMeter.witnessed`."""
        self._witnessed_s, self._witnessed_size = self._clock_s(), size

    def witness(self, name: str, outcome: str) -> None:
        """See `CivicMeter.witness`."""
        self._last[name] = outcome
        self.answers[name, outcome] += 1

    def alarm(self, refusal: Refusal) -> None:
        """See `CivicMeter.alarm`."""
        self.alarmed = refusal
        self.failures["alarm", refusal.reason] += 1
        self._counters["alarms"] += 1
        log.critical(
            "CIVIC LOG %s TAKES NOTHING ANY MORE (%s): %s. Look at it before you restart this node: "
            "docs/operations.md, When a civic log is read-only.",
            self._stream,
            refusal.reason,
            refusal.sentence,
            extra={"stream": self._stream, "reason": refusal.reason},
        )

    # ---- told to Prometheus

    def gauges(self) -> dict[str, float]:
        """Figures that go up and down; only whether it is held and read-only where it is not held."""
        alarmed = self.alarmed is not None
        always = {
            "civic_held": float(self._holder is not None or alarmed),
            "civic_read_only": float(alarmed),
        }
        if self._holder is None:
            return always
        now_s = self._clock_s()
        signed = sum(outcome == SIGNED for outcome in self._last.values())
        return always | {
            "civic_failing": float(bool(self.failing)),
            "civic_queue": float(self._holder.queue),
            "civic_size": float(self._holder.size),
            "civic_checkpoint_age_s": now_s - self._checkpoint_s,
            "civic_witnessed_size": float(self._witnessed_size),
            "civic_witnessed_age_s": now_s - self._witnessed_s,
            "civic_witnesses_missing": float(len(self._last) - signed),
            "civic_quorum_missing": float(max(0, self._quorum - signed) if self._last else 0),
        }


class CivicFigures:
    """The meters of all logs that a node may hold, by stream."""

    def __init__(self, streams: Iterable[str], quorum: int, counters: Counter[str]) -> None:
        self.meters = {stream: LogFigures(stream, quorum, counters) for stream in streams}

    def gauges(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """(stream, its figures by name)."""
        for stream, meter in self.meters.items():
            yield stream, meter.gauges()

    def counters(self) -> Iterator[tuple[str, Mapping[str, str], int]]:
        """(name, labels, how often) of what is counted with labels of its own."""
        for stream, meter in self.meters.items():
            for (stage, reason), count in sorted(meter.failures.items()):
                yield "civic_failures", {"stream": stream, "stage": stage, "reason": reason}, count
            for (witness, outcome), count in sorted(meter.answers.items()):
                labels = {"stream": stream, "witness": witness, "outcome": outcome}
                yield "civic_witness_answers", labels, count

    def histograms(self) -> Iterator[tuple[str, Mapping[str, str], Histogram]]:
        """(name, labels, how much of it) of what is measured each time."""
        for stream, meter in self.meters.items():
            yield "civic_batch_submissions", {"stream": stream}, meter.batches
            for stage, took in sorted(meter.stages.items()):
                yield "civic_stage_seconds", {"stream": stream, "stage": stage}, took
