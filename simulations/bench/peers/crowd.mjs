/**
 * The crowd that the load plays, and the truth about it: who is where, what was sent when, who is really nearest.
 *
 * Most stand, the rest walk for ever within a square and turn now and then. What a client holds about somebody is as
 * old as the last time that very position was sent: a walker's positions differ, a standing one's is sent again and
 * again. The truth is found the slow way, so that it also checks the servers' grid.
 */

const SPEED_CM_S = 140;
const TURN_CHANCE = 0.02; // at each step: every five seconds or so
const HISTORY = 16; // positions kept of each avatar: more than the second and a half that counts
const CORNER_CM = 3_000_000; // somewhere in the middle of the world
export const POSE_BYTES = 16;

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function dice(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Crowd {
  /** @param {number} count @param {number} sideM of the square @param {number} standing share @param {number} seed */
  constructor(count, sideM, standing, seed) {
    this.roll = dice(seed);
    this.count = count;
    this.sideCm = sideM * 100;
    this.walkers = Math.round(count * (1 - standing)); // the first so many
    this.ids = new Map();
    this.id = new Float64Array(count);
    this.x = new Float64Array(count);
    this.y = new Float64Array(count);
    this.heading = new Float64Array(count);
    this.seq = new Uint16Array(count);
    this.here = new Uint8Array(count).fill(1); // nobody who has just left is looked for
    this.east = new Int32Array(count); // as sent last
    this.north = new Int32Array(count);
    this.sentEast = new Int32Array(count * HISTORY);
    this.sentNorth = new Int32Array(count * HISTORY);
    this.sentAt = new Float64Array(count * HISTORY).fill(-Infinity);
    for (let i = 0; i < count; i++) {
      this.id[i] = Math.floor(this.roll() * 2 ** 32) * 2 ** 21 + i + 1;
      this.ids.set(this.id[i], i);
      this.x[i] = this.roll() * this.sideCm;
      this.y[i] = this.roll() * this.sideCm;
      this.heading[i] = this.roll() * 2 * Math.PI;
      this.east[i] = CORNER_CM + Math.round(this.x[i]);
      this.north[i] = CORNER_CM + Math.round(this.y[i]);
    }
  }

  walks(i) {
    return i < this.walkers;
  }

  /** Moves avatar `i`, notes that this is sent now, and writes its POSE into `pose`. */
  step(i, nowMs, pose) {
    const slot = i * HISTORY + (this.seq[i] % HISTORY);
    const before = i * HISTORY + ((this.seq[i] + HISTORY - 1) % HISTORY);
    if (this.walks(i)) this.walk(i, Math.min(1, Math.max(0, (nowMs - this.sentAt[before]) / 1000)));
    this.east[i] = CORNER_CM + Math.round(this.x[i]);
    this.north[i] = CORNER_CM + Math.round(this.y[i]);
    this.sentEast[slot] = this.east[i];
    this.sentNorth[slot] = this.north[i];
    this.sentAt[slot] = nowMs;
    this.seq[i]++;
    pose[0] = 1;
    pose[1] = this.walks(i) ? 1 : 0;
    pose.writeUInt16LE(this.seq[i], 2);
    pose.writeInt32LE(this.east[i], 4);
    pose.writeInt32LE(this.north[i], 8);
    pose.writeInt16LE(0, 12);
    pose[14] = Math.round((this.heading[i] / (2 * Math.PI)) * 256) & 0xff;
    pose[15] = 0;
  }

  walk(i, seconds) {
    if (this.roll() < TURN_CHANCE) this.heading[i] = this.roll() * 2 * Math.PI;
    let x = this.x[i] + Math.cos(this.heading[i]) * SPEED_CM_S * seconds;
    let y = this.y[i] + Math.sin(this.heading[i]) * SPEED_CM_S * seconds;
    if (x < 0 || x > this.sideCm || y < 0 || y > this.sideCm) {
      this.heading[i] = this.roll() * 2 * Math.PI;
      x = Math.min(Math.max(x, 0), this.sideCm);
      y = Math.min(Math.max(y, 0), this.sideCm);
    }
    this.x[i] = x;
    this.y[i] = y;
  }

  /** When this position of avatar `i` was sent last; -Infinity if never, or long ago. */
  lastSent(i, east, north) {
    let latest = -Infinity;
    for (let slot = i * HISTORY; slot < (i + 1) * HISTORY; slot++) {
      if (this.sentEast[slot] === east && this.sentNorth[slot] === north && this.sentAt[slot] > latest) {
        latest = this.sentAt[slot];
      }
    }
    return latest;
  }

  /** Writes the `k` nearest of `self` within `radiusCm`, by everybody's last position, into `found`; how many. */
  nearest(self, k, radiusCm, found, squares) {
    let near = 0;
    let limit = radiusCm * radiusCm;
    for (let i = 0; i < this.count; i++) {
      if (this.here[i] === 0) continue;
      const de = this.east[i] - this.east[self];
      const dn = this.north[i] - this.north[self];
      const square = de * de + dn * dn;
      if (square > limit || i === self) continue;
      let at = near < k ? near++ : k - 1;
      for (; at > 0 && squares[at - 1] > square; at--) {
        squares[at] = squares[at - 1];
        found[at] = found[at - 1];
      }
      squares[at] = square;
      found[at] = i;
      if (near === k) limit = squares[k - 1];
    }
    return near;
  }
}

/** What one sampled client knows, compared with the truth whenever the next frame replaces it. */
export class Observer {
  /** @param {Crowd} crowd @param {number} self @param {{k: number, radiusCm: number, freshMs: {walking: number, standing: number}}} rule */
  constructor(crowd, self, rule) {
    Object.assign(this, { crowd, self, rule });
    this.frame = 1;
    this.inFrame = new Uint32Array(crowd.count);
    this.east = new Int32Array(crowd.count);
    this.north = new Int32Array(crowd.count);
    this.found = new Int32Array(rule.k);
    this.squares = new Float64Array(rule.k);
    this.reset();
  }

  reset() {
    this.ages = [];
    this.pairs = 0;
    this.known = 0;
    this.fresh = 0;
  }

  /** A frame has come at `nowMs`: judges what was known until now, and begins anew. */
  begin(nowMs) {
    const { crowd, rule, found } = this;
    if (this.frame > 1) {
      const count = crowd.nearest(this.self, rule.k, rule.radiusCm, found, this.squares);
      this.pairs += count;
      for (let j = 0; j < count; j++) {
        const i = found[j];
        if (this.inFrame[i] !== this.frame) continue;
        this.known++;
        const age = nowMs - crowd.lastSent(i, this.east[i], this.north[i]);
        if (age <= (crowd.walks(i) ? rule.freshMs.walking : rule.freshMs.standing)) this.fresh++;
      }
    }
    this.frame++;
  }

  /** The frame says that avatar `id` is there. */
  see(id, east, north, nowMs) {
    const i = this.crowd.ids.get(id);
    if (i === undefined) return;
    const moved = this.east[i] !== east || this.north[i] !== north;
    if (moved && this.inFrame[i] === this.frame - 1) {
      const age = nowMs - this.crowd.lastSent(i, east, north);
      if (Number.isFinite(age)) this.ages.push(age);
    }
    this.inFrame[i] = this.frame;
    this.east[i] = east;
    this.north[i] = north;
  }
}
