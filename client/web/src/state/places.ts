/**
 * The table of places and programmes, as every node serves it and enforces it: what is drawn and what is walked around.
 * Here all of it is in metres; polygons and lines are flat: east, north, east, north, …
 */

import { type Segment, Walls } from "./walls";

export type Words = Readonly<Partial<Record<"ko" | "en" | "ja" | "zh", string>>>;

/** A flat list of points in metres: east0, north0, east1, north1, … */
export type Line = Float64Array;

export interface Point {
  readonly east: number;
  readonly north: number;
}

export interface Building {
  readonly outline: Line;
  readonly colour: string;
  readonly roof: string;
  readonly heightM: number;
  /** Whether parts of it cannot be walked into: `solids`. */
  readonly solid: boolean;
  readonly solids: readonly Line[];
  readonly name: Words;
}

export interface Wall {
  readonly line: Line;
  readonly colour: string;
  readonly heightM: number;
}

export interface Portal extends Point {
  readonly radiusM: number;
  /** The place (id) it leads to. */
  readonly to: string;
  readonly name: Words;
}

/** A tree, a path, a lantern line, a drum …: `kind` says which, `line` is its points. */
export interface Feature {
  readonly kind: string;
  readonly line: Line;
  readonly widthM: number;
  readonly colour: string;
  readonly name: Words;
}

export interface Place {
  readonly id: string;
  readonly name: Words;
  readonly kind: string;
  /** The city's ground, or the number of a room in the annex. */
  readonly ground: "city" | number;
  readonly outline: Line;
  /** The middle of its outline, where signs stand. */
  readonly middle: Point;
  /** Lines that nobody crosses, gates left out. */
  readonly walls: readonly Wall[];
  readonly buildings: readonly Building[];
  readonly water: readonly Line[];
  readonly decorations: readonly Feature[];
  readonly features: readonly Feature[];
  readonly spawns: readonly Point[];
  readonly portals: readonly Portal[];
  readonly board: Point | null;
  readonly capacity: number;
  readonly access: string;
  readonly services: readonly string[];
  readonly about: Words;
}

export interface Programme {
  readonly id: string;
  readonly place: string;
  readonly name: Words;
  readonly about: Words;
  /** The schedule as declared. */
  readonly schedule: Readonly<Record<string, unknown>>;
  /** Unix milliseconds of its next beginning, NaN if it has none. */
  readonly nextMs: number;
  readonly durationS: number;
  readonly capacity: number;
  /** Whether it can be rehearsed on demand: ACT `start` with its id. */
  readonly rehearsal: boolean;
  readonly timeline: readonly { readonly offsetS: number; readonly op: string }[];
}

export interface Places {
  /** Everything that cannot be walked through. */
  readonly solidity: Walls;
  readonly all: readonly Place[];
  readonly byId: ReadonlyMap<string, Place>;
  readonly programmes: readonly Programme[];
  /** The smallest place around a point, or null. */
  at(east: number, north: number): Place | null;
}

const ROOT_CM = 6_553_600;

type Json = { readonly [key: string]: unknown };

/** The table from a node's JSON; whatever does not fit is left out, so that one odd place does not cost all others. */
export function readPlaces(document: unknown): Places {
  const { places, programmes } = fields(document);
  const all = list(places).flatMap((one) => readPlace(fields(one)) ?? []);
  const bySize = [...all].sort((a, b) => area(a.outline) - area(b.outline));
  return {
    all,
    byId: new Map(all.map((place) => [place.id, place])),
    programmes: list(programmes).flatMap((one) => readProgramme(fields(one)) ?? []),
    solidity: new Walls(all.flatMap(segmentsOf)),
    at: (east, north) => bySize.find((place) => contains(place.outline, east, north)) ?? null,
  };
}

function readPlace(json: Json): Place | null {
  const outline = line(json.outline);
  if (typeof json.id !== "string" || outline.length < 6) return null;
  return {
    id: json.id,
    name: words(json.name),
    about: words(json.about),
    kind: text(json.kind),
    ground: typeof json.ground === "number" ? json.ground : "city",
    outline,
    middle: middle(outline),
    walls: list(json.walls).map((one) => {
      const { line: points, colour, height_cm } = fields(one);
      return { line: line(points), colour: text(colour), heightM: number(height_cm) / 100 };
    }),
    buildings: list(json.buildings).map((one) => {
      const building = fields(one);
      return {
        outline: line(building.outline),
        colour: text(building.colour),
        roof: text(building.roof),
        heightM: number(building.height_cm) / 100,
        solid: building.solid === true,
        solids: list(building.solids).map(line),
        name: words(building.name),
      };
    }),
    water: list(json.water).map(line),
    decorations: list(json.decorations).map(feature),
    features: list(json.features).map(feature),
    spawns: list(json.spawns).map(point),
    portals: list(json.portals).map((one) => {
      const portal = fields(one);
      return {
        ...point(one),
        radiusM: number(portal.radius_cm) / 100,
        to: text(portal.to),
        name: words(portal.name),
      };
    }),
    board: json.board === null || json.board === undefined ? null : point(json.board),
    capacity: number(json.capacity),
    access: list(json.access).map(text).join(" ") || text(json.access),
    services: list(json.services).map(text),
  };
}

function readProgramme(json: Json): Programme | null {
  if (typeof json.id !== "string") return null;
  return {
    id: json.id,
    place: text(json.place),
    name: words(json.name),
    about: words(json.about),
    schedule: fields(json.schedule),
    nextMs: typeof json.next_ms === "number" ? json.next_ms : Number.NaN,
    durationS: number(json.duration_s),
    capacity: number(json.capacity),
    rehearsal: json.rehearsal === true,
    timeline: list(json.timeline).map((one) => {
      const { offset_s, op } = fields(one);
      return { offsetS: number(offset_s), op: text(op) };
    }),
  };
}

/** What of a place cannot be walked through: its walls, what is solid, and all around it if it is a room. */
function segmentsOf(place: Place): Segment[] {
  const found: Segment[] = [];
  const add = (of: Line, closed: boolean, whole: boolean): void => {
    const points = of.length / 2;
    for (let i = 0; i < (closed ? points : points - 1); i++) {
      const j = (i + 1) % points;
      const [east, north] = [cm(of[2 * i]), cm(of[2 * i + 1])];
      const [toEast, toNorth] = [cm(of[2 * j]), cm(of[2 * j + 1])];
      if (east !== toEast || north !== toNorth) found.push({ east, north, toEast, toNorth, whole });
    }
  };
  for (const wall of place.walls) add(wall.line, false, true);
  if (place.ground !== "city") add(place.outline, true, true);
  for (const building of place.buildings) for (const solid of building.solids) add(solid, true, false);
  return found;
}

function cm(metres: number | undefined): number {
  return Math.round((metres ?? 0) * 100);
}

function feature(json: unknown): Feature {
  const { kind, line: points, width_cm, colour, name } = fields(json);
  return {
    kind: text(kind),
    line: line(points),
    widthM: number(width_cm) / 100,
    colour: text(colour),
    name: words(name),
  };
}

function point(json: unknown): Point {
  const [east, north] = Array.isArray(json) ? json : [fields(json).east_cm, fields(json).north_cm];
  return { east: metres(east), north: metres(north) };
}

function line(json: unknown): Line {
  return Float64Array.from(
    list(json)
      .filter(Array.isArray)
      .flatMap((pair: unknown[]) => [metres(pair[0]), metres(pair[1])]),
  );
}

function metres(value: unknown): number {
  return Math.min(Math.max(number(value), 0), ROOT_CM) / 100;
}

function fields(json: unknown): Json {
  return json !== null && typeof json === "object" && !Array.isArray(json) ? (json as Json) : {};
}

function list(json: unknown): readonly unknown[] {
  return Array.isArray(json) ? json : [];
}

function number(json: unknown): number {
  return typeof json === "number" && Number.isFinite(json) ? json : 0;
}

function text(json: unknown): string {
  return typeof json === "string" ? json : "";
}

function words(json: unknown): Words {
  return Object.fromEntries(Object.entries(fields(json)).filter(([, value]) => typeof value === "string"));
}

function area(outline: Line): number {
  let sum = 0;
  for (let i = 0, j = outline.length - 2; i < outline.length; j = i, i += 2)
    sum +=
      (outline[j] as number) * (outline[i + 1] as number) -
      (outline[i] as number) * (outline[j + 1] as number);
  return Math.abs(sum) / 2;
}

function middle(outline: Line): Point {
  let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < outline.length; i += 2) {
    west = Math.min(west, outline[i] as number);
    east = Math.max(east, outline[i] as number);
    south = Math.min(south, outline[i + 1] as number);
    north = Math.max(north, outline[i + 1] as number);
  }
  return { east: (west + east) / 2, north: (south + north) / 2 };
}

/** Whether a point lies inside, by the number of sides east of it. */
export function contains(outline: Line, east: number, north: number): boolean {
  let odd = false;
  for (let i = 0, j = outline.length - 2; i < outline.length; j = i, i += 2) {
    const [aEast, aNorth] = [outline[j] as number, outline[j + 1] as number];
    const [bEast, bNorth] = [outline[i] as number, outline[i + 1] as number];
    if (aNorth > north === bNorth > north) continue;
    if (east < aEast + ((bEast - aEast) * (north - aNorth)) / (bNorth - aNorth)) odd = !odd;
  }
  return odd;
}
