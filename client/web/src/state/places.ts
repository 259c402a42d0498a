/**
 * The table of places and programmes, as every node serves it and enforces it: what is drawn and what is walked around.
 * Here all of it is in metres; polygons and lines are flat: east, north, east, north, …
 */

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
  /** Solid ones cannot be walked into. */
  readonly solid: boolean;
  readonly name: Words;
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
  /** Each wall is one line that nobody crosses. */
  readonly walls: readonly Line[];
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
  readonly timeline: readonly { readonly offsetS: number; readonly op: string }[];
}

export interface Places {
  readonly all: readonly Place[];
  readonly byId: ReadonlyMap<string, Place>;
  readonly programmes: readonly Programme[];
  /** The smallest place around a point, or null. */
  at(east: number, north: number): Place | null;
}
