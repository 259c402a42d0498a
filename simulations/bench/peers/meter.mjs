/**
 * What a measured server shares with the one that measures it: a clock of ticks, and orders by line on standard input.
 *
 * `begin` starts the window, `end` closes it and is answered by one line of JSON. When the input ends, so does the
 * process, so that none outlives the one that started it.
 */

import process from "node:process";
import readline from "node:readline";

const LATE = 1.5; // a tick that begins later than this many ticks after the last one has overrun

/** Says one thing to the parent. */
export function tell(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Heeds the parent's lines; ends with its input. */
export function heed(orders) {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => orders[line]?.());
  lines.on("close", () => process.exit(0));
}

/** Counts a server's ticks between `begin` and `end`. */
export class Meter {
  /** @param {number} tickMs @param {() => object} more what the server has to add at the end */
  constructor(tickMs, more = () => ({})) {
    this.tickMs = tickMs;
    this.last = 0;
    this.reset();
    heed({
      begin: () => this.reset(),
      end: () => tell({ ...this.figures(), ...more() }),
    });
  }

  reset() {
    this.began = performance.now();
    this.overruns = 0;
    this.took = [];
  }

  /** Runs one tick. */
  tick(work) {
    const now = performance.now();
    if (this.last > 0 && now - this.last > LATE * this.tickMs) this.overruns++;
    this.last = now;
    const answer = work();
    this.took.push(performance.now() - now);
    return answer;
  }

  figures() {
    const took = Float64Array.from(this.took).sort();
    const share = (p) => took[Math.min(took.length - 1, Math.floor(p * took.length))] ?? 0;
    return {
      ticks: took.length,
      seconds: (performance.now() - this.began) / 1000,
      overruns: this.overruns,
      tick_ms: { p50: share(0.5), p99: share(0.99) },
    };
  }
}
