/**
 * Where every tour bus is at a moment: the same arithmetic, to the centimetre, as the nodes'. A bus waits at each stop
 * and drives straight to the next; the buses are spread evenly over the loop.
 */

import type { Spot } from "./city";
import type { BusShape } from "./renderer";

interface Leg {
  readonly from: Spot;
  readonly east: number;
  readonly north: number;
  readonly startMs: number;
  readonly runMs: number;
  readonly yaw: number;
}

export class Buses {
  private readonly legs: Leg[] = [];
  private readonly loopMs: number;

  /** `stops` in order of the ride, the last the first again. */
  constructor(
    stops: readonly Spot[],
    private readonly count: number,
    speedCmS: number,
    private readonly dwellMs: number,
  ) {
    let at = 0;
    for (let i = 0; i + 1 < stops.length; i++) {
      const from = stops[i];
      // the last stop is the first again, whatever its own position says
      const to = stops[(i + 1) % (stops.length - 1)];
      const east = Math.round((to.east - from.east) * 100);
      const north = Math.round((to.north - from.north) * 100);
      const runMs = Math.ceil((Math.floor(Math.sqrt(east * east + north * north)) * 1000) / speedCmS);
      this.legs.push({ from, east, north, startMs: at, runMs, yaw: Math.atan2(east, north) });
      at += dwellMs + runMs;
    }
    this.loopMs = at;
  }

  at(unixMs: number): BusShape[] {
    const out: BusShape[] = [];
    if (this.loopMs === 0) return out;
    for (let bus = 0; bus < this.count; bus++) {
      const ahead = Math.floor((bus * this.loopMs) / this.count);
      const phase = ((unixMs % this.loopMs) + ahead) % this.loopMs;
      const leg = this.legs.findLast((one) => one.startMs <= phase) ?? this.legs[0];
      const drivenMs = phase - leg.startMs - this.dwellMs;
      const share = Math.max(0, drivenMs) / leg.runMs;
      out.push({
        east: leg.from.east + (leg.east * share) / 100,
        north: leg.from.north + (leg.north * share) / 100,
        yaw: leg.yaw,
        stands: drivenMs < 0,
      });
    }
    return out;
  }
}
