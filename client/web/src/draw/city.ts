/** The drawing of the city as nodes serve it, checked and made ready to paint: rings, the river's banks, names. */

import type { Line, Words } from "../state/places";
import { Buses } from "./bus";

export interface Spot {
  readonly name: Words;
  readonly east: number;
  readonly north: number;
}

export interface GuShape extends Spot {
  readonly code: number;
  readonly outline: Line;
  readonly box: Box;
}

export interface Box {
  readonly west: number;
  readonly south: number;
  readonly east: number;
  readonly north: number;
}

export interface IslandShape extends Spot {
  readonly length: number;
  readonly breadth: number;
  readonly turn: number;
  readonly inRiver: boolean;
}

export interface Bridge {
  readonly name: string;
  readonly line: Line;
}

export interface City {
  readonly gu: readonly GuShape[];
  /** Both banks of the river as one ring, and the rings of the parks and roads along it. */
  readonly river: Line;
  readonly parks: Line;
  readonly northRoad: Line;
  readonly southRoad: Line;
  /** Middle line and half width, close together: for asking how far the water is. */
  readonly middle: Line;
  readonly half: Float64Array;
  readonly islands: readonly IslandShape[];
  readonly bridges: readonly Bridge[];
  readonly landmarks: readonly Spot[];
  readonly stops: readonly (Spot & { readonly order: number })[];
  readonly buses: Buses;
}

const SMOOTH = 6;
const PARK_M = 90;
const ROAD_M = 130;

type Json = Readonly<Record<string, unknown>>;

/** Reads the answer of `/api/v1/city`; throws a TypeError naming what is wrong with it. */
export function readCity(value: unknown): City {
  const root = object(value, "city");
  const river = object(root.river, "river");
  const line = numbers(river.line, "river.line");
  const widths = numbers(river.width, "river.width");
  const notes = list(river.notes, "river.notes").map(String);
  const { middle, half } = smooth(line, widths);
  const north = offset(middle, half, 0);
  const south = offset(middle, half, 0, -1);
  const bus = object(root.bus, "bus");
  const stops = list(root.stops, "stops").map((item) => {
    const stop = object(item, "stop");
    return { ...spot(stop), order: Number(stop.order) };
  });
  return {
    gu: list(root.gu, "gu").map((item) => {
      const gu = object(item, "gu");
      const outline = numbers(gu.outline, "gu.outline");
      return { ...spot(gu), code: Number(gu.code), outline, box: boxOf(outline) };
    }),
    river: ring(north, south),
    parks: ring(offset(middle, half, PARK_M), offset(middle, half, PARK_M, -1)),
    northRoad: offset(middle, half, ROAD_M),
    southRoad: offset(middle, half, ROAD_M, -1),
    middle,
    half,
    islands: list(root.islands, "islands").map((item) => {
      const island = object(item, "island");
      const at = spot(island);
      const flow = flowNear(middle, at.east, at.north);
      return {
        ...at,
        length: Number(island.length),
        breadth: Number(island.breadth),
        turn: flow,
        inRiver: island.in_river === true,
      };
    }),
    bridges: bridges(line, widths, notes),
    landmarks: list(root.landmarks, "landmarks").map((item) => spot(object(item, "landmark"))),
    stops,
    buses: new Buses(stops, Number(bus.count), Number(bus.speed_cm_s), Number(bus.dwell_ms)),
  };
}

function object(value: unknown, name: string): Json {
  if (typeof value !== "object" || value === null) throw new TypeError(`${name} is not an object`);
  return value as Json;
}

function list(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError(`${name} is not a list`);
  return value;
}

function numbers(value: unknown, name: string): Float64Array {
  const array = Float64Array.from(list(value, name), Number);
  if (array.some(Number.isNaN)) throw new TypeError(`${name} holds what is not a number`);
  return array;
}

function spot(value: Json): Spot {
  const middle = numbers(value.middle, "middle");
  const name = object(value.name, "name");
  return { name: { ko: String(name.ko), en: String(name.en) }, east: middle[0] ?? 0, north: middle[1] ?? 0 };
}

export function boxOf(line: Line): Box {
  let west = Number.POSITIVE_INFINITY;
  let south = Number.POSITIVE_INFINITY;
  let east = Number.NEGATIVE_INFINITY;
  let north = Number.NEGATIVE_INFINITY;
  for (let i = 0; i + 1 < line.length; i += 2) {
    const e = line[i] as number;
    const n = line[i + 1] as number;
    if (e < west) west = e;
    if (e > east) east = e;
    if (n < south) south = n;
    if (n > north) north = n;
  }
  return { west, south, east, north };
}

export function meets(a: Box, b: Box): boolean {
  return a.west <= b.east && b.west <= a.east && a.south <= b.north && b.south <= a.north;
}

/** A box with so many metres around it. */
export function grown(box: Box, by: number): Box {
  return { west: box.west - by, south: box.south - by, east: box.east + by, north: box.north + by };
}

/** Whether a point lies inside a ring. */
export function inside(ringLine: Line, east: number, north: number): boolean {
  let within = false;
  const n = ringLine.length;
  for (let i = 0, j = n - 2; i < n; j = i, i += 2) {
    const ei = ringLine[i] as number;
    const ni = ringLine[i + 1] as number;
    const ej = ringLine[j] as number;
    const nj = ringLine[j + 1] as number;
    if (ni > north !== nj > north && east < ((ej - ei) * (north - ni)) / (nj - ni) + ei) within = !within;
  }
  return within;
}

export function guAt(city: City, east: number, north: number): GuShape | null {
  for (const gu of city.gu) {
    const box = gu.box;
    if (east < box.west || east > box.east || north < box.south || north > box.north) continue;
    if (inside(gu.outline, east, north)) return gu;
  }
  return null;
}

/** Distance in metres from a point to a line. */
export function distanceTo(line: Line, east: number, north: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i + 3 < line.length; i += 2) {
    const ae = line[i] as number;
    const an = line[i + 1] as number;
    const de = (line[i + 2] as number) - ae;
    const dn = (line[i + 3] as number) - an;
    const whole = de * de + dn * dn;
    const t = whole === 0 ? 0 : Math.min(1, Math.max(0, ((east - ae) * de + (north - an) * dn) / whole));
    const away = Math.hypot(east - ae - t * de, north - an - t * dn);
    if (away < best) best = away;
  }
  return best;
}

/** How far a point is from the river's water (negative: in it). */
export function fromWater(city: City, east: number, north: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < city.half.length; i++) {
    const de = (city.middle[2 * i] as number) - east;
    const dn = (city.middle[2 * i + 1] as number) - north;
    const away = Math.hypot(de, dn) - (city.half[i] as number);
    if (away < best) best = away;
  }
  return best;
}

/** A curve through the points (Catmull-Rom), with the widths along it. */
function smooth(line: Line, widths: Float64Array): { middle: Line; half: Float64Array } {
  const count = widths.length;
  const at = (i: number, k: number): number => line[2 * Math.min(count - 1, Math.max(0, i)) + k] ?? 0;
  const middle: number[] = [];
  const half: number[] = [];
  for (let i = 0; i + 1 < count; i++) {
    for (let step = 0; step < SMOOTH; step++) {
      const t = step / SMOOTH;
      for (const k of [0, 1]) middle.push(curve(at(i - 1, k), at(i, k), at(i + 1, k), at(i + 2, k), t));
      half.push(((widths[i] ?? 0) * (1 - t) + (widths[i + 1] ?? 0) * t) / 2);
    }
  }
  middle.push(at(count - 1, 0), at(count - 1, 1));
  half.push((widths[count - 1] ?? 0) / 2);
  return { middle: Float64Array.from(middle), half: Float64Array.from(half) };
}

function curve(a: number, b: number, c: number, d: number, t: number): number {
  return (
    0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t * t * t)
  );
}

/** A line beside another: `half[i] + more` metres to its right (side 1) or left (side -1) in its direction. */
function offset(middle: Line, half: Float64Array, more: number, side = 1): Line {
  const out = new Float64Array(middle.length);
  const count = half.length;
  for (let i = 0; i < count; i++) {
    const from = 2 * Math.max(0, i - 1);
    const to = 2 * Math.min(count - 1, i + 1);
    const de = (middle[to] as number) - (middle[from] as number);
    const dn = (middle[to + 1] as number) - (middle[from + 1] as number);
    const length = Math.hypot(de, dn) || 1;
    const away = ((half[i] as number) + more) * side;
    out[2 * i] = (middle[2 * i] as number) + (dn / length) * away;
    out[2 * i + 1] = (middle[2 * i + 1] as number) - (de / length) * away;
  }
  return out;
}

function ring(there: Line, back: Line): Line {
  const out = new Float64Array(there.length + back.length);
  out.set(there);
  for (let i = 0; i < back.length; i += 2) {
    out[there.length + i] = back[back.length - 2 - i] as number;
    out[there.length + i + 1] = back[back.length - 1 - i] as number;
  }
  return out;
}

function flowNear(middle: Line, east: number, north: number): number {
  let best = Number.POSITIVE_INFINITY;
  let turn = 0;
  for (let i = 0; i + 3 < middle.length; i += 2) {
    const away = Math.hypot((middle[i] as number) - east, (middle[i + 1] as number) - north);
    if (away >= best) continue;
    best = away;
    turn = Math.atan2(
      (middle[i + 3] as number) - (middle[i + 1] as number),
      (middle[i + 2] as number) - (middle[i] as number),
    );
  }
  return turn;
}

/** A bridge stands across the river at each point whose note names one. */
function bridges(line: Line, widths: Float64Array, notes: readonly string[]): Bridge[] {
  const out: Bridge[] = [];
  for (let i = 1; i + 1 < widths.length; i++) {
    const note = notes[i] ?? "";
    const name = /^[\w\s]*?[Bb]ridge/.exec(note)?.[0];
    if (name === undefined) continue;
    const de = (line[2 * i + 2] ?? 0) - (line[2 * i - 2] ?? 0);
    const dn = (line[2 * i + 3] ?? 0) - (line[2 * i - 1] ?? 0);
    const length = Math.hypot(de, dn) || 1;
    const reach = (widths[i] ?? 0) / 2 + 160;
    const e = line[2 * i] ?? 0;
    const n = line[2 * i + 1] ?? 0;
    const oe = (dn / length) * reach;
    const on = (-de / length) * reach;
    out.push({ name, line: Float64Array.of(e + oe, n + on, e - oe, n - on) });
  }
  return out;
}
