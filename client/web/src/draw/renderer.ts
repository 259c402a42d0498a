/** What draws the world. Today one draws on a flat canvas; another may build it in space from the same scene. */

import type { Place, Point } from "../state/places";
import type { WorldView } from "../state/world";
import type { Camera } from "./camera";
import type { City } from "./city";
import type { Light } from "./light";
import type { Picture } from "./regions";

/** Something that spreads as a ring from a point: a drum beat, a stroke of the bell. */
export interface Pulse {
  readonly east: number;
  readonly north: number;
  /** Server time it sounds at. */
  readonly atMs: number;
  readonly kind: "beat" | "bell";
  readonly voice: number;
}

export interface Bubble {
  readonly text: string;
  /** `performance.now()` at which it goes. */
  readonly until: number;
}

/** A tour bus on its way; yaw as of people. */
export interface BusShape extends Point {
  readonly yaw: number;
  /** At a stop. */
  readonly stands: boolean;
}

/** Everything one picture needs; read at once. */
export interface Scene {
  readonly camera: Camera;
  readonly view: WorldView;
  readonly city: City | null;
  readonly places: readonly Place[];
  readonly light: Light;
  readonly bubbles: ReadonlyMap<number, Bubble>;
  readonly pulses: readonly Pulse[];
  readonly buses: readonly BusShape[];
  readonly regions: Picture | null;
  /** People not shown to this person. */
  readonly hidden: ReadonlySet<number>;
  readonly friends: ReadonlySet<number>;
  readonly selected: number | null;
  /** One's own name. */
  readonly name: string;
  readonly look: string;
  /** Nothing moves by itself. */
  readonly still: boolean;
  /** Draw fewer figures. */
  readonly fewer: boolean;
}

/** What lies under a point of the picture. */
export type Hit =
  | { readonly what: "person"; readonly id: number }
  | { readonly what: "object"; readonly key: string }
  | null;

export interface Renderer {
  /** The picture's size in CSS pixels, and device pixels in one. */
  resize(width: number, height: number, ratio: number): void;
  draw(scene: Scene, nowMs: number): void;
  /** Who or what was drawn at a point (CSS pixels) in the last picture. */
  hit(x: number, y: number): Hit;
  /** The ground has changed (places or language came): paint it anew. */
  renew(): void;
}
