/**
 * A way around walls from one point to another: straight where that is free, else the shortest way over a grid (A*),
 * pulled straight. The grid exists only where it is looked at, and the search is bounded. Centimetres throughout.
 */

import type { Walls } from "./walls";

const STEP_CM = 100; // of the grid for short ways; a gate is wider
const STEPS_ACROSS = 400; // longer ways have a wider grid
const VISITS_MAX = 40_000;
const BESIDE_CM = 35; // how far from walls one keeps
const DIAGONAL = Math.SQRT2;
const WAYS = [
  [1, 0],
  [1, 1],
  [0, 1],
  [-1, 1],
  [-1, 0],
  [-1, -1],
  [0, -1],
  [1, -1],
] as const;

/** Points after `from`, the last one `to` itself (flat: east, north, …); null if there is no way. */
export function route(
  walls: Walls,
  fromEast: number,
  fromNorth: number,
  toEast: number,
  toNorth: number,
): number[] | null {
  if (!walls.blocked(fromEast, fromNorth, toEast, toNorth)) return [toEast, toNorth];
  const far = Math.hypot(toEast - fromEast, toNorth - fromNorth);
  for (const step of [Math.max(STEP_CM, Math.ceil(far / STEPS_ACROSS)), STEP_CM / 2]) {
    const found = search(walls, fromEast, fromNorth, toEast, toNorth, step);
    if (found) return straighten(walls, fromEast, fromNorth, found);
  }
  return null;
}

/** Whether one can walk straight there without touching walls left or right. */
function clear(walls: Walls, east: number, north: number, toEast: number, toNorth: number): boolean {
  if (walls.blocked(east, north, toEast, toNorth)) return false;
  const length = Math.hypot(toEast - east, toNorth - north);
  if (length === 0) return true;
  const sideEast = (-(toNorth - north) / length) * BESIDE_CM;
  const sideNorth = ((toEast - east) / length) * BESIDE_CM;
  return (
    !walls.blocked(east + sideEast, north + sideNorth, toEast + sideEast, toNorth + sideNorth) &&
    !walls.blocked(east - sideEast, north - sideNorth, toEast - sideEast, toNorth - sideNorth)
  );
}

function search(
  walls: Walls,
  fromEast: number,
  fromNorth: number,
  toEast: number,
  toNorth: number,
  step: number,
): number[] | null {
  // nodes by number: column and row around `from`, each in ± REACH
  const REACH = 1 << 12;
  const key = (column: number, row: number): number => (row + REACH) * 2 * REACH + column + REACH;
  const cost = new Map<number, number>();
  const before = new Map<number, number>();
  const closed = new Set<number>();
  const heap = new Heap();
  const goalColumn = (toEast - fromEast) / step;
  const goalRow = (toNorth - fromNorth) / step;
  const left = (column: number, row: number): number => {
    const de = Math.abs(goalColumn - column);
    const dn = Math.abs(goalRow - row);
    return Math.max(de, dn) + (DIAGONAL - 1) * Math.min(de, dn);
  };
  const start = key(0, 0);
  cost.set(start, 0);
  heap.push(start, left(0, 0));
  for (let visits = 0; visits < VISITS_MAX; visits++) {
    const node = heap.pop();
    if (node === undefined) return null;
    if (closed.has(node)) continue;
    closed.add(node);
    const column = (node % (2 * REACH)) - REACH;
    const row = Math.floor(node / (2 * REACH)) - REACH;
    const east = fromEast + column * step;
    const north = fromNorth + row * step;
    if (left(column, row) <= 2 && !walls.blocked(east, north, toEast, toNorth)) {
      const points = [toNorth, toEast];
      for (let at: number | undefined = node; at !== undefined && at !== start; at = before.get(at)) {
        points.push(fromNorth + (Math.floor(at / (2 * REACH)) - REACH) * step);
        points.push(fromEast + ((at % (2 * REACH)) - REACH) * step);
      }
      return points.reverse();
    }
    const soFar = cost.get(node) as number;
    for (const [de, dn] of WAYS) {
      const nextColumn = column + de;
      const nextRow = row + dn;
      if (Math.abs(nextColumn) >= REACH || Math.abs(nextRow) >= REACH) continue;
      const next = key(nextColumn, nextRow);
      if (closed.has(next)) continue;
      const length = soFar + (de && dn ? DIAGONAL : 1);
      if (length >= (cost.get(next) ?? Number.POSITIVE_INFINITY)) continue;
      const nextEast = east + de * step;
      const nextNorth = north + dn * step;
      const free =
        node === start
          ? !walls.blocked(east, north, nextEast, nextNorth)
          : clear(walls, east, north, nextEast, nextNorth);
      if (!free) continue;
      cost.set(next, length);
      before.set(next, node);
      heap.push(next, length + left(nextColumn, nextRow));
    }
  }
  return null;
}

/** The same way with as few corners as there can be. */
function straighten(walls: Walls, fromEast: number, fromNorth: number, points: number[]): number[] {
  const kept: number[] = [];
  let east = fromEast;
  let north = fromNorth;
  for (let i = 0; i < points.length; ) {
    let next = i;
    for (let j = points.length - 2; j > i; j -= 2) {
      if (clear(walls, east, north, points[j] as number, points[j + 1] as number)) {
        next = j;
        break;
      }
    }
    east = points[next] as number;
    north = points[next + 1] as number;
    kept.push(east, north);
    i = next + 2;
  }
  return kept;
}

/** Numbers by rank, the least first. */
class Heap {
  private readonly items: number[] = [];
  private readonly ranks: number[] = [];

  push(item: number, rank: number): void {
    let at = this.items.push(item) - 1;
    this.ranks.push(rank);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((this.ranks[parent] as number) <= (this.ranks[at] as number)) break;
      this.swap(at, parent);
      at = parent;
    }
  }

  pop(): number | undefined {
    const first = this.items[0];
    const item = this.items.pop();
    const rank = this.ranks.pop();
    if (this.items.length === 0 || item === undefined || rank === undefined) return first;
    this.items[0] = item;
    this.ranks[0] = rank;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < this.items.length && (this.ranks[child] as number) < (this.ranks[least] as number))
          least = child;
      if (least === at) return first;
      this.swap(at, least);
      at = least;
    }
  }

  private swap(a: number, b: number): void {
    [this.items[a], this.items[b]] = [this.items[b] as number, this.items[a] as number];
    [this.ranks[a], this.ranks[b]] = [this.ranks[b] as number, this.ranks[a] as number];
  }
}
