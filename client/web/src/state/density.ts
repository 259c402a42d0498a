/**
 * The crowd as counts by cell. A node counts everybody in a cell; whoever came by name in the frame of the same moment
 * is subtracted, so that nobody is drawn twice. The newest moment of a level replaces all older counts of it.
 */

import type { DensityFrame, PosesFrame } from "../net/frames";
import { type Density, WORLD_M } from "./world";

const KEPT_MS = 1500;

class Level implements Density {
  readonly side: number;
  count = 0;
  columns = new Uint32Array(64);
  rows = new Uint32Array(64);
  people = new Uint16Array(64);
  /** As counted by the node, before anybody is subtracted. */
  counted = new Uint16Array(64);
  conn = 0;
  tMs = 0;
  heardMs = 0;

  constructor(readonly level: number) {
    this.side = WORLD_M / 2 ** level;
  }

  take(frame: DensityFrame): void {
    if (frame.count > this.columns.length) {
      const size = frame.columns.length;
      this.columns = new Uint32Array(size);
      this.rows = new Uint32Array(size);
      this.people = new Uint16Array(size);
      this.counted = new Uint16Array(size);
    }
    this.count = frame.count;
    for (let i = 0; i < frame.count; i++) {
      this.columns[i] = frame.columns[i] as number;
      this.rows[i] = frame.rows[i] as number;
      this.people[i] = this.counted[i] = frame.people[i] as number;
    }
  }

  /** People by cell, less those of `poses`. */
  subtract(poses: PosesFrame): void {
    const cells = this.count;
    for (let i = 0; i < cells; i++) this.people[i] = this.counted[i] as number;
    for (let p = 0; p < poses.count; p++) {
      const column = Math.floor((poses.east[p] as number) / this.side);
      const row = Math.floor((poses.north[p] as number) / this.side);
      for (let i = 0; i < cells; i++) {
        if (this.columns[i] === column && this.rows[i] === row) {
          if ((this.people[i] as number) > 0) (this.people[i] as number)--;
          break;
        }
      }
    }
  }
}

export class Densities {
  readonly levels: Level[] = [];

  /** A count came on `conn` at `nowMs`; `poses` is the last frame of people, of the same connection or not. */
  take(frame: DensityFrame, conn: number, poses: PosesFrame, posesConn: number, nowMs: number): void {
    let level = this.levels.find((one) => one.level === frame.level);
    if (!level) this.levels.push((level = new Level(frame.level)));
    level.take(frame);
    level.conn = conn;
    level.tMs = frame.tMs;
    level.heardMs = nowMs;
    if (posesConn === conn && poses.tMs === frame.tMs) level.subtract(poses);
  }

  /** A frame of people came on `conn`: those are no longer part of the counts of the same moment. */
  drawn(poses: PosesFrame, conn: number): void {
    for (const level of this.levels)
      if (level.conn === conn && level.tMs === poses.tMs) level.subtract(poses);
  }

  /** Forgets what is no longer told. */
  expire(nowMs: number): void {
    for (const level of this.levels) if (nowMs - level.heardMs > KEPT_MS) level.count = 0;
  }

  clear(): void {
    for (const level of this.levels) level.count = 0;
  }
}
