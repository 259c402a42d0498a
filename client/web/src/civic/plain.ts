/** What was unpacked, read strictly: each of these gives the value in the one shape that is meant, or throws `Malformed`. */

import { type Fields, Malformed, type Value } from "../net/msgpack";

/** The map with all of `needed` and none but those and `optional`. */
export function map(
  value: Value | undefined,
  needed: readonly string[],
  optional: readonly string[] = [],
): Fields {
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array)
    throw new Malformed("field-type");
  const fields = value as Fields;
  const known = Object.keys(fields).every((name) => needed.includes(name) || optional.includes(name));
  if (!known || needed.some((name) => fields[name] === undefined)) throw new Malformed("field-missing");
  return fields;
}

/** A list of at most so many. */
export function list(value: Value | undefined, most: number): readonly Value[] {
  if (!Array.isArray(value) || value.length > most) throw new Malformed("field-size");
  return value as readonly Value[];
}

/** Exactly so many bytes. */
export function bytes(value: Value | undefined, size: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== size) throw new Malformed("field-size");
  return value;
}

/** A text of so many characters. */
export function text(value: Value | undefined, least: number, most: number): string {
  if (typeof value !== "string") throw new Malformed("field-type");
  const size = [...value].length;
  if (size < least || size > most) throw new Malformed("field-size");
  return value;
}

/** A whole number from 0. */
export function whole(value: Value | undefined, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== "number" || value < 0 || value > most) throw new Malformed("field-range");
  return value;
}
