/**
 * The border between what the page knows and what it draws: `World` takes wishes, `WorldView` is read each frame.
 *
 * All positions are metres from the world's south-west corner, yaw is radians clockwise from north (0 looks north,
 * π/2 east), times are Unix milliseconds by the city's clock unless a name says otherwise. The arrays of a view are
 * reused from frame to frame and longer than `count`: read them at once, never keep or change them.
 */

import type { Places } from "./places";

/** Codes of `state`, as in the protocol. */
export const STAND = 0;
export const WALK = 1;
export const RUN = 2;
export const SIT = 3;
export const WAVE = 4;
export const BOW = 5;
export const DANCE = 6;
export const CLAP = 7;
export const DRUM = 8;
export const RIDE = 9;

/** Side of the world in metres. */
export const WORLD_M = 65536;

export type Kind = "person" | "program" | "ai";
export type Channel = "near" | "place" | "group" | "direct";

/**
 * `stopped` waits for the person (`gesture`): why is told by the event `elsewhere` or `trouble`; `joining` is the first
 * login, `back in a moment` every later one.
 */
export type Link = "joining" | "here" | "back in a moment" | "stopped";

/** Whoever has been asked for with `who`, as far as told. `look` is e.g. `hanbok:crimson;hair:black`. */
export interface Person {
  readonly id: number;
  readonly name: string;
  readonly look: string;
  readonly kind: Kind;
}

/** A lantern, a bell, a note …; `key` is its id in hex and its key in `WorldView.objects`. */
export interface WorldObject {
  readonly key: string;
  readonly id: Uint8Array;
  readonly kind: string;
  readonly east: number;
  readonly north: number;
  readonly text: string;
  readonly by: number;
  readonly count: number;
  readonly atMs: number;
  /** Only the node here has it yet, and keeps it until the city is whole again. */
  readonly pending: boolean;
}

/** The crowd that is not drawn one by one: `people[i]` stand in `cells[i]` (column + row·2^level) for i < count. */
export interface Density {
  readonly level: number;
  /** Side of a cell in metres: 65536 / 2^level. */
  readonly side: number;
  count: number;
  /** Column of each cell, counted from the west. */
  columns: Uint32Array;
  /** Row of each cell, counted from the south. */
  rows: Uint32Array;
  /** People in the cell who are not among the view's rows. */
  people: Uint16Array;
}

/** Oneself: where the person steers to, before any node has said so. */
export interface Me {
  readonly id: number;
  east: number;
  north: number;
  up: number;
  yaw: number;
  state: number;
  /** The last stretch of a click-to-walk, or null: where it ends. */
  goal: { readonly east: number; readonly north: number } | null;
}

export interface WorldView {
  /** Others, without oneself; ids are below 2^53. */
  count: number;
  ids: Float64Array;
  east: Float64Array;
  north: Float64Array;
  up: Float32Array;
  yaw: Float32Array;
  state: Uint8Array;
  /** 1 while told of, falling to 0 while somebody goes (or comes). */
  fade: Float32Array;
  density: readonly Density[];
  /** null until the first WELCOME. */
  me: Me | null;
  readonly objects: ReadonlyMap<string, WorldObject>;
  /** Grows by one whenever `objects` changes. */
  objectsVersion: number;
  readonly people: ReadonlyMap<number, Person>;
  serverTime(): number;
  link: Link;
  /** How often one has been handed from node to node. */
  handoffs: number;
  /** The key of the node that holds one, as 16 hex digits; empty when none does. */
  node: string;
  /** The url played on. */
  url: string;
  /** Round trip to the node in milliseconds, smoothed; NaN while unknown. */
  roundTripMs: number;
}

/** What somebody said; `raw` is everything a report must hold. */
export interface Said {
  readonly id: number;
  readonly name: string;
  readonly kind: Kind;
  readonly channel: Channel;
  /** Group: its secret id in hex. */
  readonly to: string;
  readonly text: string;
  readonly ms: number;
  readonly east: number;
  readonly north: number;
  readonly raw: SaidRaw;
}

/** The fields of SAID as the wire has them. */
export interface SaidRaw {
  readonly id: number;
  readonly key: Uint8Array;
  readonly name: string;
  readonly kind: string;
  readonly channel: string;
  readonly to: Uint8Array;
  readonly avatar: number;
  readonly text: string;
  readonly ms: number;
  readonly sig: Uint8Array;
  readonly east_cm: number;
  readonly north_cm: number;
}

/** The answer to an act or a report; not done when `durable` is empty: `reason` and `sentence` say why. */
export interface Done {
  readonly n: number;
  readonly durable: "" | "standby" | "disk" | "pending";
  readonly id: Uint8Array;
  readonly reason: string;
  readonly sentence: string;
}

export interface Events {
  said: Said;
  /** A drum beat that sounds at `atMs` of server time. */
  beat: { readonly id: number; readonly atMs: number; readonly voice: number };
  notice: { readonly code: string; readonly sentence: string };
  /** The node moved one back: `reason` is reach, wall, outside, closed, go … */
  correct: { readonly reason: string };
  done: Done;
  /** What came of something that was `pending`. */
  settled: Done;
  /** `objects` of the view changed. */
  objects: null;
  link: Link;
  /** `device`: logged in on another device; `tab`: a newer tab of this browser has the avatar. */
  elsewhere: { readonly where: "device" | "tab" };
  /** Why a login failed for good (`clock`, `signature`, `version` …) or for the moment (`full` …). */
  trouble: { readonly code: string; readonly sentence: string };
  /** Names or looks became known. */
  people: null;
  /** The table of places and programmes came. */
  places: Places;
  /** Another region, maybe another node. */
  region: { readonly node: string; readonly handoffs: number };
  /** A walk to a point ended: there, or no way was found, or one was held up. */
  arrived: { readonly how: "there" | "no way" | "held" };
}

export interface World {
  /** Everything to draw at `nowMs` (of `performance.now()`); the same object each time. */
  view(nowMs: number): WorldView;
  /** Calls `handler` at each event until the returned function is called. */
  on<K extends keyof Events>(event: K, handler: (news: Events[K]) => void): () => void;

  /** The direction one wants to go (length 0 to 1; 0, 0: stand), until said otherwise. Ends a walk to a point. */
  walk(dx: number, dy: number, running: boolean): void;
  /** Walks to a point, around walls. */
  walkTo(east: number, north: number, running?: boolean): void;
  /** Sit, wave, bow, dance …; walking ends it. */
  state(code: number): void;

  /** `to`: the group's secret id in hex (`group`) or the avatar's id (`direct`). The text is trimmed; false if nothing is left or nobody listens. */
  say(channel: Channel, text: string, to?: string | number): boolean;
  /** Hear (or no longer hear) the group of this secret id in hex. */
  group(to: string, on: boolean): void;
  act(verb: string, text?: string, target?: Uint8Array): Promise<Done>;
  /** A place's id or name, `bus`, `off`; `friend`: to this avatar, if it welcomes one. */
  go(place: string, friend?: number): void;
  /** Ask who these are; answers appear in `people` (asked once, in batches). */
  who(ids: Iterable<number>): void;
  /** Whom this person does not want to hear or see, with the names they had; kept on this device. */
  readonly blocked: ReadonlyMap<number, string>;
  /** Hears and sees somebody no more, or again; every node one comes to is told. */
  block(id: number, on: boolean, name?: string): void;
  /** Lets somebody come to where one is, or no longer; every node one comes to is told. */
  befriend(id: number, on: boolean): void;
  report(said: Said, why: string): Promise<Done>;
  /** Beats the drum: sounds now here, and for everybody at the same server time; returns that time. */
  beat(voice: number): number;

  /** Who one is to others. Kept on this device; a change logs in again at the same spot. */
  profile(name: string, look: string): void;
  readonly name: string;
  readonly look: string;
  /** The person wants to be here: begins, or takes over from another device or tab. */
  gesture(): void;

  /** null until they came. */
  readonly places: Places | null;
}
