/**
 * Control messages: a kind byte and one msgpack map. What comes from a node is checked field by field before anything
 * believes it; what goes out leaves out the fields that are at their default.
 */

import { type Fields, Malformed, pack, unpack, type Value } from "./msgpack";

export const PROTOCOL = 1;
/** Messages below are packed arrays (`frames.ts`), or of the future and ignored. */
export const FIRST_CONTROL_KIND = 0x40;

export const Kind = {
  HELLO: 0x40,
  CHALLENGE: 0x41,
  WELCOME: 0x42,
  MOVED: 0x43,
  SAY: 0x44,
  SAID: 0x45,
  ACT: 0x46,
  OBJECTS: 0x47,
  WHO: 0x48,
  PROFILES: 0x49,
  CORRECT: 0x4a,
  NOTICE: 0x4b,
  GO: 0x4c,
  PACE: 0x4d,
  DONE: 0x4e,
  BYE: 0x4f,
  BEAT: 0x50,
  BLOCK: 0x51,
  REPORT: 0x52,
  GROUP: 0x53,
  FRIEND: 0x54,
} as const;

/** A pose as the wire has it: centimetres, steps of 4 cm, 256ths of a turn. */
export interface Pose {
  readonly east_cm: number;
  readonly north_cm: number;
  readonly up: number;
  readonly yaw: number;
  readonly state: number;
}

export interface Profile {
  readonly name: string;
  readonly look: string;
  readonly kind: string;
}

export interface WireObject {
  readonly id: Uint8Array;
  readonly kind: string;
  readonly east_cm: number;
  readonly north_cm: number;
  readonly text: string;
  readonly by: number;
  readonly count: number;
  readonly at_ms: number;
  readonly pending: boolean;
}

export interface Challenge {
  readonly v: number;
  readonly node: Uint8Array;
  readonly nonce: Uint8Array;
  readonly url: string;
  readonly sig: Uint8Array;
}

export interface Welcome {
  readonly id: number;
  readonly login_ms: number;
  readonly birth: Uint8Array;
  readonly pose: Pose;
  readonly seq: number;
  readonly tick_ms: number;
  readonly t_ms: number;
  readonly time_ms: number;
  readonly cell: number;
  readonly urls: readonly string[];
}

export interface Bye {
  readonly code: string;
  readonly reason: string;
  readonly login_ms: number;
  readonly birth: Uint8Array;
  readonly urls: readonly string[];
}

export interface Said {
  readonly id: number;
  readonly key: Uint8Array;
  readonly name: string;
  readonly channel: string;
  readonly text: string;
  readonly ms: number;
  readonly sig: Uint8Array;
  readonly east_cm: number;
  readonly north_cm: number;
  readonly to: Uint8Array;
  readonly avatar: number;
  readonly kind: string;
}

export interface Done {
  readonly n: number;
  readonly durable: string;
  readonly id: Uint8Array;
  readonly reason: string;
  readonly sentence: string;
}

/** What a node says, by kind. */
export type NodeMessage =
  | { readonly kind: typeof Kind.CHALLENGE; readonly body: Challenge }
  | { readonly kind: typeof Kind.WELCOME; readonly body: Welcome }
  | {
      readonly kind: typeof Kind.MOVED;
      readonly body: { readonly node: Uint8Array; readonly url: string; readonly ticket: Uint8Array };
    }
  | { readonly kind: typeof Kind.SAID; readonly body: Said }
  | {
      readonly kind: typeof Kind.OBJECTS;
      readonly body: {
        readonly cell: number;
        readonly objects: readonly WireObject[];
        readonly gone: readonly Uint8Array[];
        readonly whole: boolean;
      };
    }
  | {
      readonly kind: typeof Kind.PROFILES;
      readonly body: {
        readonly ids: readonly number[];
        readonly profiles: readonly Profile[];
        /** What each has proved to be by a grant, in the same order, or nothing; empty when nobody has. */
        readonly roles: readonly string[];
      };
    }
  | {
      readonly kind: typeof Kind.CORRECT;
      readonly body: { readonly seq: number; readonly pose: Pose; readonly reason: string };
    }
  | {
      readonly kind: typeof Kind.NOTICE;
      readonly body: { readonly code: string; readonly sentence: string; readonly tick_ms: number };
    }
  | { readonly kind: typeof Kind.PACE; readonly body: { readonly shift_ms: number } }
  | { readonly kind: typeof Kind.DONE; readonly body: Done }
  | { readonly kind: typeof Kind.BYE; readonly body: Bye }
  | {
      readonly kind: typeof Kind.BEAT;
      readonly body: {
        readonly at_ms: number;
        readonly voice: number;
        readonly id: number;
        readonly east_cm: number;
        readonly north_cm: number;
      };
    };

// ------------------------------------------------------------------------------------------- reading

type Read<T> = (value: Value | undefined) => T;

const SAFE = Number.MAX_SAFE_INTEGER;
const NOTHING = new Uint8Array(0);

function whole(low: number, high: number, absent?: number): Read<number> {
  return (value) => {
    if (value === undefined && absent !== undefined) return absent;
    if (typeof value !== "number") throw new Malformed("field-type");
    if (value < low || value > high) throw new Malformed("field-range");
    return value;
  };
}

function text(low: number, high: number, absent?: string): Read<string> {
  return (value) => {
    if (value === undefined && absent !== undefined) return absent;
    if (typeof value !== "string") throw new Malformed("field-type");
    if (value.length > 2 * high || !within([...value].length, low, high)) throw new Malformed("field-size");
    return value;
  };
}

function bytes(low: number, high: number, absent?: Uint8Array): Read<Uint8Array> {
  return (value) => {
    if (value === undefined && absent !== undefined) return absent;
    if (!(value instanceof Uint8Array)) throw new Malformed("field-type");
    if (!within(value.length, low, high)) throw new Malformed("field-size");
    return value;
  };
}

function flag(absent: boolean): Read<boolean> {
  return (value) => {
    if (value === undefined) return absent;
    if (typeof value !== "boolean") throw new Malformed("field-type");
    return value;
  };
}

function list<T>(item: Read<T>, high: number, optional = false): Read<readonly T[]> {
  return (value) => {
    if (value === undefined && optional) return [];
    if (!Array.isArray(value)) throw new Malformed("field-type");
    if (value.length > high) throw new Malformed("field-size");
    return value.map((one: Value) => item(one));
  };
}

function map<T>(fields: { readonly [K in keyof T]: Read<T[K]> }): Read<T> {
  const readers = Object.entries(fields) as [string, Read<unknown>][];
  return (value) => {
    if (value === null || typeof value !== "object" || value instanceof Uint8Array || Array.isArray(value))
      throw new Malformed("field-type");
    const built: Record<string, unknown> = {};
    for (const [name, read] of readers) built[name] = read((value as Fields)[name]);
    return built as T;
  };
}

function within(size: number, low: number, high: number): boolean {
  return size >= low && size <= high;
}

const centimetres = whole(0, 6_553_599);
const avatar = whole(1, SAFE);
const u53 = whole(0, SAFE);
const u32 = whole(0, 2 ** 32 - 1);
const code = text(1, 40);
const sentence = text(0, 300, "");
const url = text(1, 200);
const urls = list(url, 8, true);

const pose = map<Pose>({
  east_cm: centimetres,
  north_cm: centimetres,
  up: whole(-32_768, 32_767, 0),
  yaw: whole(0, 255, 0),
  state: whole(0, 255, 0),
});
const profile = map<Profile>({ name: text(1, 32), look: text(0, 64, ""), kind: text(1, 8, "person") });
const object = map<WireObject>({
  id: bytes(16, 16),
  kind: code,
  east_cm: centimetres,
  north_cm: centimetres,
  text: text(0, 200, ""),
  by: whole(0, SAFE, 0),
  count: whole(0, SAFE, 0),
  at_ms: whole(0, SAFE, 0),
  pending: flag(false),
});

const READERS: { readonly [kind: number]: Read<unknown> } = {
  [Kind.CHALLENGE]: map<Challenge>({
    v: whole(0, 65_535),
    node: bytes(32, 32),
    nonce: bytes(32, 32),
    url,
    sig: bytes(64, 64),
  }),
  [Kind.WELCOME]: map<Welcome>({
    id: avatar,
    login_ms: u53,
    birth: bytes(16, 16),
    pose,
    seq: u32,
    tick_ms: whole(1, 65_535),
    t_ms: u32,
    time_ms: u53,
    cell: avatar,
    urls,
  }),
  [Kind.MOVED]: map({ node: bytes(32, 32), url, ticket: bytes(16, 16) }),
  [Kind.SAID]: map<Said>({
    id: avatar,
    key: bytes(32, 32),
    name: text(1, 32),
    channel: code,
    text: text(1, 300),
    ms: u53,
    sig: bytes(64, 64),
    east_cm: centimetres,
    north_cm: centimetres,
    to: bytes(0, 16, NOTHING),
    avatar: whole(0, SAFE, 0),
    kind: text(1, 8, "person"),
  }),
  [Kind.OBJECTS]: map({
    cell: avatar,
    objects: list(object, 64),
    gone: list(bytes(16, 16), 64, true),
    whole: flag(false),
  }),
  [Kind.PROFILES]: map({
    ids: list(avatar, 64),
    profiles: list(profile, 64),
    roles: list(text(0, 40), 64, true),
  }),
  [Kind.CORRECT]: map({ seq: u32, pose, reason: code }),
  [Kind.NOTICE]: map({ code, sentence, tick_ms: whole(0, 65_535, 0) }),
  [Kind.PACE]: map({ shift_ms: whole(-1000, 1000) }),
  [Kind.DONE]: map<Done>({
    n: u32,
    durable: text(0, 40, ""),
    id: bytes(0, 16, NOTHING),
    reason: text(0, 40, ""),
    sentence,
  }),
  [Kind.BYE]: map<Bye>({
    code,
    reason: sentence,
    login_ms: whole(0, SAFE, 0),
    birth: bytes(0, 16, NOTHING),
    urls,
  }),
  [Kind.BEAT]: map({
    at_ms: u53,
    voice: whole(0, 255),
    id: whole(0, SAFE, 0),
    east_cm: whole(0, 6_553_599, 0),
    north_cm: whole(0, 6_553_599, 0),
  }),
};

/**
 * What a node says in one control message, or null of a kind that this page does not know.
 *
 * Throws `Malformed`.
 */
export function decodeMessage(data: Uint8Array): NodeMessage | null {
  const kind = data[0];
  if (kind === undefined) throw new Malformed("frame-empty");
  const read = READERS[kind];
  return read ? ({ kind, body: read(unpack(data, 1)) } as NodeMessage) : null;
}

// ------------------------------------------------------------------------------------------- writing

/** A message of a client: the kind, then the map of its fields. */
export function encodeMessage(kind: number, fields: Fields): Uint8Array {
  return pack(fields, [kind]);
}

/** What is left of a pose without its defaults. */
export function poseFields(of: Pose): Fields {
  return {
    east_cm: of.east_cm,
    north_cm: of.north_cm,
    up: of.up || undefined,
    yaw: of.yaw || undefined,
    state: of.state || undefined,
  };
}

/** What is left of a profile without its defaults. */
export function profileFields(of: Profile): Fields {
  return {
    name: of.name,
    look: of.look || undefined,
    kind: of.kind === "person" ? undefined : of.kind,
  };
}

/** What is left of SAID's fields without their defaults: what a report holds. */
export function saidFields(of: Said): Fields {
  return {
    id: of.id,
    key: of.key,
    name: of.name,
    channel: of.channel,
    text: of.text,
    ms: of.ms,
    sig: of.sig,
    east_cm: of.east_cm,
    north_cm: of.north_cm,
    to: of.to.length ? of.to : undefined,
    avatar: of.avatar || undefined,
    kind: of.kind === "person" ? undefined : of.kind,
  };
}
