/**
 * Everybody one sees, as columns: where each was told to be at the last moments, and where to draw them now.
 *
 * A person is drawn a little in the past (`DELAY` periods of their frames), between two moments that were both told, so
 * that they move evenly although news comes ten times a second and not quite evenly. When the next word is late they
 * go on as they went for at most a period. Whoever is told of no more fades: see `fadesAfterMs`.
 *
 * A node may lengthen its ticks. How far in the past one is drawn then follows little by little: at once, everybody
 * would be seen to step back.
 */

import type { PosesFrame } from "../net/frames";

const MOMENTS = 4; // told ones kept of each person
const DELAY = 1.5; // periods
const TIER_PERIODS = [1, 2, 5] as const; // ticks between two frames of tier 0, 1, 2 and beyond
const FADE_PERIODS = 3;
const FADE_LEAST_MS = 1000;
/** Those far away who stand still may be told of once a second only: two of these words may be missed. */
const FADE_STILL_MS = 2200;
const FADING_MS = 400;
const GONE_MS = 3000;
/** Milliseconds that the tick drawn by may change in one: at the slowest tier time still goes on. */
const EASE = 0.1;
const COMING_MS = 250;
const JUMP_M = 30; // who moved this far between two moments was not walking: draw no way between
const TURN = Math.PI * 2;

/**
 * How long after the last word of them somebody begins to fade: after three words missed, at least a second; so that
 * they are gone by `GONE_MS`, but never before the next word is due.
 */
export function fadesAfterMs(ticks: number, tickMs: number, still: boolean): number {
  const period = ticks * tickMs;
  const missed = Math.max(FADE_PERIODS * period, still && ticks > 1 ? FADE_STILL_MS : FADE_LEAST_MS);
  return Math.max(Math.min(missed, GONE_MS - FADING_MS), 1.25 * period);
}

export class Crowd {
  /** Drawn now: rows 0 to `count`. */
  count = 0;
  ids = new Float64Array(256);
  east = new Float64Array(256);
  north = new Float64Array(256);
  up = new Float32Array(256);
  yaw = new Float32Array(256);
  state = new Uint8Array(256);
  fade = new Float32Array(256);

  /** Oneself as drawn to others: where a bus carries one. `told` is false when no frame holds oneself. */
  readonly mine = { told: false, east: 0, north: 0, up: 0, yaw: 0 };

  private size = 256;
  private readonly slotOf = new Map<number, number>();
  private readonly free: number[] = [];
  private used = 0;
  private tickMs = 100;
  private drawnTickMs = Number.NaN;
  private drawnMs = 0;
  // of each slot
  private id = new Float64Array(256);
  /** Ticks between two words of them. */
  private ticks = new Uint8Array(256);
  private cameMs = new Float64Array(256);
  private heardMs = new Float64Array(256);
  private moments = new Uint8Array(256);
  private code = new Uint8Array(256);
  // of each moment, oldest first: slot · MOMENTS + i
  private atMs = new Float64Array(256 * MOMENTS);
  private atEast = new Float64Array(256 * MOMENTS);
  private atNorth = new Float64Array(256 * MOMENTS);
  private atUp = new Float32Array(256 * MOMENTS);
  private atYaw = new Float32Array(256 * MOMENTS);

  /** Takes in a frame that is of `localMs` on our clock and came at `nowMs`; its node ticks each `tickMs`. */
  take(frame: PosesFrame, localMs: number, nowMs: number, tickMs: number): void {
    const ticks = TIER_PERIODS[Math.min(frame.tier, 2)] as number;
    this.tickMs = tickMs;
    for (let i = 0; i < frame.count; i++) {
      const id = frame.ids[i] as number;
      let slot = this.slotOf.get(id);
      if (slot === undefined) {
        slot = this.free.pop() ?? this.used++;
        if (slot >= this.size) this.grow();
        this.slotOf.set(id, slot);
        this.id[slot] = id;
        this.moments[slot] = 0;
        this.cameMs[slot] = nowMs;
      }
      this.ticks[slot] = ticks;
      this.heardMs[slot] = nowMs;
      this.code[slot] = frame.state[i] as number;
      this.moment(
        slot,
        localMs,
        frame.east[i] as number,
        frame.north[i] as number,
        frame.up[i] as number,
        ((frame.yaw[i] as number) / 256) * TURN,
      );
    }
  }

  /** Forgets everybody at once. */
  clear(): void {
    this.slotOf.clear();
    this.free.length = 0;
    this.used = 0;
    this.count = 0;
  }

  /** Where the slot's person was last told to be, or null. */
  find(id: number): { readonly east: number; readonly north: number } | null {
    const slot = this.slotOf.get(id);
    if (slot === undefined) return null;
    const last = slot * MOMENTS + (this.moments[slot] as number) - 1;
    return { east: this.atEast[last] as number, north: this.atNorth[last] as number };
  }

  /** Calls `visit` with where each was last told to be, oneself and the hidden too. */
  each(visit: (east: number, north: number) => void): void {
    for (const slot of this.slotOf.values()) {
      const last = slot * MOMENTS + (this.moments[slot] as number) - 1;
      visit(this.atEast[last] as number, this.atNorth[last] as number);
    }
  }

  /** Lays out the rows to draw at `nowMs`, without those of `hidden`; forgets who has faded. */
  draw(nowMs: number, me: number, hidden: Pick<ReadonlySet<number>, "has" | "size">): void {
    let row = 0;
    this.mine.told = false;
    const tick = this.ease(nowMs);
    for (let slot = 0; slot < this.used; slot++) {
      const id = this.id[slot] as number;
      if (id === 0) continue;
      const ticks = this.ticks[slot] as number;
      const pastMs = nowMs - DELAY * ticks * tick;
      const period = ticks * this.tickMs;
      const silentMs =
        nowMs - (this.heardMs[slot] as number) - fadesAfterMs(ticks, this.tickMs, this.still(slot));
      if (silentMs > FADING_MS) {
        this.slotOf.delete(id);
        this.id[slot] = 0;
        this.free.push(slot);
        continue;
      }
      if (hidden.has(id)) continue;
      if (id === me) {
        this.place(slot, row, pastMs, period);
        this.mine.told = true;
        this.mine.east = this.east[row] as number;
        this.mine.north = this.north[row] as number;
        this.mine.up = this.up[row] as number;
        this.mine.yaw = this.yaw[row] as number;
        continue;
      }
      this.ids[row] = id;
      this.state[row] = this.code[slot] as number;
      const coming = Math.min(1, (nowMs - (this.cameMs[slot] as number)) / COMING_MS);
      this.fade[row] = silentMs > 0 ? Math.min(coming, 1 - silentMs / FADING_MS) : coming;
      this.place(slot, row, pastMs, period);
      row++;
    }
    this.count = row;
  }

  /** The tick to draw by at `nowMs`, on its way to the one told of. */
  private ease(nowMs: number): number {
    const most = Math.max(0, nowMs - this.drawnMs) * EASE;
    this.drawnMs = nowMs;
    const way = this.tickMs - this.drawnTickMs;
    if (Number.isNaN(way) || this.slotOf.size === 0) this.drawnTickMs = this.tickMs;
    else this.drawnTickMs += Math.max(-most, Math.min(most, way));
    return this.drawnTickMs;
  }

  /** Whether they stood still between the last two words. */
  private still(slot: number): boolean {
    const n = this.moments[slot] as number;
    const last = slot * MOMENTS + n - 1;
    return (
      n < 2 || (this.atEast[last] === this.atEast[last - 1] && this.atNorth[last] === this.atNorth[last - 1])
    );
  }

  private moment(slot: number, ms: number, east: number, north: number, up: number, yaw: number): void {
    const base = slot * MOMENTS;
    let n = this.moments[slot] as number;
    if (n > 0) {
      const last = base + n - 1;
      if (ms <= (this.atMs[last] as number)) {
        if (ms < (this.atMs[last] as number)) return; // of the node left behind: the later word is known
        n--; // told twice of one moment: the later word wins
      } else if (
        Math.abs(east - (this.atEast[last] as number)) + Math.abs(north - (this.atNorth[last] as number)) >
        JUMP_M
      ) {
        n = 0;
      }
    }
    if (n === MOMENTS) {
      for (const column of [this.atMs, this.atEast, this.atNorth, this.atUp, this.atYaw])
        column.copyWithin(base, base + 1, base + MOMENTS);
      n--;
    }
    this.atMs[base + n] = ms;
    this.atEast[base + n] = east;
    this.atNorth[base + n] = north;
    this.atUp[base + n] = up;
    this.atYaw[base + n] = yaw;
    this.moments[slot] = n + 1;
  }

  private place(slot: number, row: number, ms: number, period: number): void {
    const base = slot * MOMENTS;
    const last = base + (this.moments[slot] as number) - 1;
    let after = base;
    while (after < last && (this.atMs[after] as number) < ms) after++;
    if (after === base) {
      this.copy(base, row);
      return;
    }
    const before = after - 1;
    const from = this.atMs[before] as number;
    const gap = (this.atMs[after] as number) - from;
    // beyond the last word: on for a period as it went, then stand
    const share = Math.min((ms - from) / gap, 1 + period / gap);
    this.east[row] = mix(this.atEast[before] as number, this.atEast[after] as number, share);
    this.north[row] = mix(this.atNorth[before] as number, this.atNorth[after] as number, share);
    this.up[row] = mix(this.atUp[before] as number, this.atUp[after] as number, share);
    const turn = (this.atYaw[after] as number) - (this.atYaw[before] as number);
    const short = turn - TURN * Math.round(turn / TURN);
    this.yaw[row] = (this.atYaw[before] as number) + short * Math.min(share, 1);
  }

  private copy(at: number, row: number): void {
    this.east[row] = this.atEast[at] as number;
    this.north[row] = this.atNorth[at] as number;
    this.up[row] = this.atUp[at] as number;
    this.yaw[row] = this.atYaw[at] as number;
  }

  private grow(): void {
    const size = this.size * 2;
    const longer = <T extends Float64Array | Float32Array | Uint8Array>(column: T, width = 1): T => {
      const made = new (column.constructor as new (length: number) => T)(size * width);
      made.set(column);
      return made;
    };
    this.ids = longer(this.ids);
    this.east = longer(this.east);
    this.north = longer(this.north);
    this.up = longer(this.up);
    this.yaw = longer(this.yaw);
    this.state = longer(this.state);
    this.fade = longer(this.fade);
    this.id = longer(this.id);
    this.ticks = longer(this.ticks);
    this.cameMs = longer(this.cameMs);
    this.heardMs = longer(this.heardMs);
    this.moments = longer(this.moments);
    this.code = longer(this.code);
    this.atMs = longer(this.atMs, MOMENTS);
    this.atEast = longer(this.atEast, MOMENTS);
    this.atNorth = longer(this.atNorth, MOMENTS);
    this.atUp = longer(this.atUp, MOMENTS);
    this.atYaw = longer(this.atYaw, MOMENTS);
    this.size = size;
  }
}

function mix(a: number, b: number, share: number): number {
  return a + (b - a) * share;
}
