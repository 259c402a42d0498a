/**
 * The crowd as counts by cell. A node counts everybody in a cell; whoever is told of one by one, in this frame or in one
 * of the ticks before, is taken off, so that nobody is drawn twice. The newest moment of a level replaces all older
 * counts of it.
 */

import type { DensityFrame } from "../net/frames";
import { type Density, WORLD_M } from "./world";

/** A level not told of for so long, or for three times the gap between its last two words, is forgotten. */
const KEPT_MS = 1500;
const KEPT_GAPS = 3;
const GAP_MS_MAX = 5000;

class Level implements Density {
  readonly side: number;
  count = 0;
  columns = new Uint32Array(64);
  rows = new Uint32Array(64);
  people = new Uint16Array(64);
  heardMs = Number.NEGATIVE_INFINITY;
  keptMs = KEPT_MS;
  /** As counted by the node, before anybody is taken off. */
  private counted = new Uint16Array(64);
  /** Where a cell lies in the columns, by column and row. */
  private readonly at = new Map<number, number>();

  constructor(readonly level: number) {
    this.side = WORLD_M / 2 ** level;
  }

  take(frame: DensityFrame, nowMs: number): void {
    if (frame.count > this.columns.length) {
      const size = frame.columns.length;
      this.columns = new Uint32Array(size);
      this.rows = new Uint32Array(size);
      this.people = new Uint16Array(size);
      this.counted = new Uint16Array(size);
    }
    this.count = frame.count;
    this.at.clear();
    for (let i = 0; i < frame.count; i++) {
      this.columns[i] = frame.columns[i] as number;
      this.rows[i] = frame.rows[i] as number;
      this.people[i] = this.counted[i] = frame.people[i] as number;
      this.at.set((frame.columns[i] as number) * WORLD_M + (frame.rows[i] as number), i);
    }
    this.keptMs = Math.max(KEPT_MS, KEPT_GAPS * Math.min(nowMs - this.heardMs, GAP_MS_MAX));
    this.heardMs = nowMs;
  }

  restore(): void {
    for (let i = 0; i < this.count; i++) this.people[i] = this.counted[i] as number;
  }

  takeOff(east: number, north: number): void {
    const i = this.at.get(Math.floor(east / this.side) * WORLD_M + Math.floor(north / this.side));
    const people = i === undefined ? 0 : (this.people[i] as number);
    if (people > 0) this.people[i as number] = people - 1;
  }
}

export class Densities {
  readonly levels: Level[] = [];

  /** A count came at `nowMs`. */
  take(frame: DensityFrame, nowMs: number): void {
    let level = this.levels.find((one) => one.level === frame.level);
    if (!level) this.levels.push((level = new Level(frame.level)));
    level.take(frame, nowMs);
  }

  /** Takes everybody off whom `each` tells of, and no longer those taken off before. */
  takeOff(each: (visit: (east: number, north: number) => void) => void): void {
    const levels = this.levels.filter((one) => one.count > 0);
    if (levels.length === 0) return;
    for (const level of levels) level.restore();
    each((east, north) => {
      for (const level of levels) level.takeOff(east, north);
    });
  }

  /** Forgets what is no longer told. */
  expire(nowMs: number): void {
    for (const level of this.levels) if (nowMs - level.heardMs > level.keptMs) level.count = 0;
  }

  clear(): void {
    for (const level of this.levels) level.count = 0;
  }
}
