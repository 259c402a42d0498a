/**
 * The city's time as told by frames. A frame says when it was made, by its node's clock; it arrives some way later, now
 * more, now less. The least of those ways within the last seconds is the steady part: a `Clock` knows how far its node's
 * time is ahead of ours by the frame that came quickest, so that jitter does not shake what is drawn.
 *
 * `local` places a frame on our own clock, which goes on evenly when a handoff brings another node's clock.
 */

const WINDOW_MS = 4000; // one slot of the window
const SLOTS = 5; // a path that has become longer is believed after so many windows
const U32 = 2 ** 32;
const GAPS = 5;
const TICK_MS_MAX = 1000;

export class Clock {
  private readonly best = new Float64Array(SLOTS).fill(Number.NEGATIVE_INFINITY);
  private slot = -1;
  private ahead = Number.NaN;

  /** `tMs` and `timeMs` are one moment of WELCOME: the frames' counter and Unix time. */
  constructor(
    private readonly tMs: number,
    private readonly timeMs: number,
  ) {}

  /** Unix milliseconds, by the node's clock, of a frame marked `tMs` (a serial number of 32 bits). */
  unix(tMs: number): number {
    const way = (tMs - this.tMs) >>> 0;
    return this.timeMs + (way < U32 / 2 ? way : way - U32);
  }

  /** A frame marked `tMs` came at `nowMs` of our clock. */
  heard(tMs: number, nowMs: number): void {
    const slot = Math.floor(nowMs / WINDOW_MS);
    if (slot !== this.slot) {
      // a gap of many windows forgets all of them
      for (let i = Math.max(this.slot + 1, slot - SLOTS + 1); i <= slot; i++)
        this.best[i % SLOTS] = Number.NEGATIVE_INFINITY;
      this.slot = slot;
    }
    const ahead = this.unix(tMs) - nowMs;
    const at = slot % SLOTS;
    if (ahead > (this.best[at] as number)) this.best[at] = ahead;
    let most = Number.NEGATIVE_INFINITY;
    for (const one of this.best) if (one > most) most = one;
    // quicker ways count at once, slower ones little by little
    this.ahead =
      most >= this.ahead || Number.isNaN(this.ahead) ? most : this.ahead + (most - this.ahead) * 0.05;
  }

  /** How far the node's Unix time is ahead of our clock, less the quickest way of a frame; NaN before the first one. */
  get aheadMs(): number {
    return this.ahead;
  }

  /** When, on our clock, a frame marked `tMs` would have come by the quickest way. */
  local(tMs: number): number {
    return this.unix(tMs) - this.ahead;
  }
}

/**
 * How far apart the ticks of a node are, by the frames that come each tick: the middle one of the last gaps, so that a
 * frame left out counts for nothing. A node that has too much to do ticks slower, and says so too.
 */
export class Tempo {
  private readonly gaps: number[] = [];
  private last = Number.NaN;

  constructor(private saidMs: number) {}

  /** The node has said it. */
  said(tickMs: number): void {
    this.saidMs = tickMs;
    this.gaps.length = 0;
  }

  /** A frame of the first tier is marked `tMs`. */
  heard(tMs: number): void {
    const gap = (tMs - this.last) | 0; // serial; 0 while there is no last one
    this.last = tMs;
    if (gap <= 0 || gap > TICK_MS_MAX) return;
    this.gaps.push(gap);
    if (this.gaps.length > GAPS) this.gaps.shift();
  }

  get tickMs(): number {
    if (this.gaps.length < GAPS) return this.saidMs;
    return [...this.gaps].sort((a, b) => a - b)[GAPS >> 1] as number;
  }
}

/**
 * The city's Unix time on an even course: follows what clocks say, by at most a tenth of the time that passes, except
 * at the first word and when it is more than two seconds wrong.
 */
export class CityTime {
  private ahead = Number.NaN;
  private wasMs = 0;
  private target = Number.NaN;

  /** The city is `aheadMs` ahead of our clock, as known at `nowMs`. */
  told(aheadMs: number, nowMs: number): void {
    this.advance(nowMs);
    this.target = aheadMs;
    if (Number.isNaN(this.ahead) || Math.abs(aheadMs - this.ahead) > 2000) this.ahead = aheadMs;
  }

  /** Unix milliseconds at `nowMs` of our clock; NaN before anything was told. */
  at(nowMs: number): number {
    this.advance(nowMs);
    return nowMs + this.ahead;
  }

  private advance(nowMs: number): void {
    const most = Math.max(0, nowMs - this.wasMs) / 10;
    this.wasMs = Math.max(nowMs, this.wasMs);
    const way = this.target - this.ahead;
    if (way) this.ahead += Math.max(-most, Math.min(most, way));
  }
}
