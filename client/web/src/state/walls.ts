/**
 * Walls: which steps lead through one, by the same whole-number rule as the node's, so that nothing is walked here that
 * the node would take back. A step is blocked if it changes sides of a segment and meets it. A *whole* segment is
 * blocked both ways; the side of a *solid* thing, run around with the inside on the left, only inwards.
 *
 * All positions here are centimetres.
 */

const SQUARE_CM = 3200;
const COLUMNS = 4096; // more than the world has, so that a square is one number
const SQUARES_MAX = 64; // a longer step than these looks at every segment

export interface Segment {
  readonly east: number;
  readonly north: number;
  readonly toEast: number;
  readonly toNorth: number;
  readonly whole: boolean;
}

export class Walls {
  private readonly squares = new Map<number, number[]>();
  private readonly at: Float64Array;
  private readonly whole: Uint8Array;
  readonly count: number;

  constructor(segments: readonly Segment[]) {
    this.count = segments.length;
    this.at = new Float64Array(4 * segments.length);
    this.whole = new Uint8Array(segments.length);
    segments.forEach((segment, i) => {
      const { east, north, toEast, toNorth } = segment;
      this.at.set([east, north, toEast, toNorth], 4 * i);
      this.whole[i] = segment.whole ? 1 : 0;
      const [west, right] = [square(Math.min(east, toEast)), square(Math.max(east, toEast))];
      const [south, top] = [square(Math.min(north, toNorth)), square(Math.max(north, toNorth))];
      for (let row = south; row <= top; row++) {
        for (let column = west; column <= right; column++) {
          const key = row * COLUMNS + column;
          const there = this.squares.get(key);
          if (there) there.push(i);
          else this.squares.set(key, [i]);
        }
      }
    });
  }

  /** Whether the straight step leads through a wall; whole centimetres for the node's own answer. */
  blocked(fromEast: number, fromNorth: number, east: number, north: number): boolean {
    if (this.count === 0) return false;
    const west = square(Math.min(fromEast, east));
    const right = square(Math.max(fromEast, east));
    const south = square(Math.min(fromNorth, north));
    const top = square(Math.max(fromNorth, north));
    if ((right - west + 1) * (top - south + 1) > SQUARES_MAX) {
      for (let i = 0; i < this.count; i++) if (this.crosses(i, fromEast, fromNorth, east, north)) return true;
      return false;
    }
    for (let row = south; row <= top; row++) {
      for (let column = west; column <= right; column++) {
        const there = this.squares.get(row * COLUMNS + column);
        if (!there) continue;
        for (const i of there) if (this.crosses(i, fromEast, fromNorth, east, north)) return true;
      }
    }
    return false;
  }

  /**
   * The segment that blocks a step, as the way along it; null if none does. What one slides along.
   */
  along(fromEast: number, fromNorth: number, east: number, north: number): readonly [number, number] | null {
    for (let row = square(Math.min(fromNorth, north)); row <= square(Math.max(fromNorth, north)); row++) {
      for (
        let column = square(Math.min(fromEast, east));
        column <= square(Math.max(fromEast, east));
        column++
      ) {
        for (const i of this.squares.get(row * COLUMNS + column) ?? []) {
          if (!this.crosses(i, fromEast, fromNorth, east, north)) continue;
          const wayEast = (this.at[4 * i + 2] as number) - (this.at[4 * i] as number);
          const wayNorth = (this.at[4 * i + 3] as number) - (this.at[4 * i + 1] as number);
          const length = Math.hypot(wayEast, wayNorth);
          return [wayEast / length, wayNorth / length];
        }
      }
    }
    return null;
  }

  private crosses(i: number, fromEast: number, fromNorth: number, east: number, north: number): boolean {
    const aEast = this.at[4 * i] as number;
    const aNorth = this.at[4 * i + 1] as number;
    const wayEast = (this.at[4 * i + 2] as number) - aEast;
    const wayNorth = (this.at[4 * i + 3] as number) - aNorth;
    const wasLeft = wayEast * (fromNorth - aNorth) - wayNorth * (fromEast - aEast) >= 0;
    const isLeft = wayEast * (north - aNorth) - wayNorth * (east - aEast) >= 0;
    if (wasLeft === isLeft || !(isLeft || this.whole[i])) return false;
    const goEast = east - fromEast;
    const goNorth = north - fromNorth;
    const one = goNorth * (fromEast - aEast) - goEast * (fromNorth - aNorth);
    const other = one + goEast * wayNorth - goNorth * wayEast;
    return Math.sign(one) * Math.sign(other) <= 0;
  }
}

export const NO_WALLS = new Walls([]);

function square(cm: number): number {
  return Math.floor(cm / SQUARE_CM);
}
