/**
 * The part of msgpack that the protocol uses: whole numbers up to 2^53, text, bytes, lists, maps, booleans and nil.
 * Everything is written in its shortest form; `canonical` also sorts the keys of maps, which makes the one way to write
 * a value that signatures are made over. What comes in is bounded before anything is built from it.
 */

export type Value = null | boolean | number | string | Uint8Array | readonly Value[] | Fields;
export interface Fields {
  readonly [key: string]: Value | undefined;
}

/** Bytes that break the protocol; `reason` is a short code. */
export class Malformed extends Error {
  constructor(readonly reason: string) {
    super(reason);
  }
}

const LIST_MAX = 256;
const MAP_MAX = 64;
const CONTAINERS_MAX = 1024;

const TO_BYTES = new TextEncoder();
const TO_TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The msgpack bytes of a value, after the bytes of `head`; map keys in the order they have. Fields that are undefined are left out. */
export function pack(value: Value, head: readonly number[] = []): Uint8Array {
  const out = [...head];
  write(out, value, false);
  return Uint8Array.from(out);
}

/** The one msgpack encoding of a value: keys of all maps sorted by their UTF-8 bytes. */
export function canonical(value: Value): Uint8Array {
  const out: number[] = [];
  write(out, value, true);
  return Uint8Array.from(out);
}

function big(out: number[], value: number, size: number): void {
  for (let shift = size - 1; shift >= 0; shift--) out.push(Math.floor(value / 2 ** (8 * shift)) % 256);
}

function head(out: number[], length: number, fix: number, fixMax: number, sizes: readonly number[]): void {
  if (length <= fixMax) out.push(fix | length);
  else {
    const [one, two, four] = sizes as [number, number, number];
    if (one > 0 && length < 0x100) {
      out.push(one);
      big(out, length, 1);
    } else if (length < 0x10000) {
      out.push(two);
      big(out, length, 2);
    } else {
      out.push(four);
      big(out, length, 4);
    }
  }
}

function whole(out: number[], value: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a whole number of 53 bits`);
  if (value >= 0) {
    if (value < 0x80) out.push(value);
    else if (value < 0x100) {
      out.push(0xcc);
      big(out, value, 1);
    } else if (value < 0x10000) {
      out.push(0xcd);
      big(out, value, 2);
    } else if (value < 2 ** 32) {
      out.push(0xce);
      big(out, value, 4);
    } else {
      out.push(0xcf);
      big(out, value, 8);
    }
  } else if (value >= -0x20) out.push(value & 0xff);
  else if (value >= -0x80) {
    out.push(0xd0);
    big(out, value + 0x100, 1);
  } else if (value >= -0x8000) {
    out.push(0xd1);
    big(out, value + 0x10000, 2);
  } else if (value >= -(2 ** 31)) {
    out.push(0xd2);
    big(out, value + 2 ** 32, 4);
  } else throw new RangeError(`${value} is below what the protocol uses`);
}

function write(out: number[], value: Value, sorted: boolean): void {
  if (value === null) out.push(0xc0);
  else if (value === false) out.push(0xc2);
  else if (value === true) out.push(0xc3);
  else if (typeof value === "number") whole(out, value);
  else if (typeof value === "string") {
    const bytes = TO_BYTES.encode(value);
    head(out, bytes.length, 0xa0, 31, [0xd9, 0xda, 0xdb]);
    for (const byte of bytes) out.push(byte);
  } else if (value instanceof Uint8Array) {
    head(out, value.length, 0, -1, [0xc4, 0xc5, 0xc6]);
    for (const byte of value) out.push(byte);
  } else if (Array.isArray(value)) {
    head(out, value.length, 0x90, 15, [0, 0xdc, 0xdd]);
    for (const item of value as readonly Value[]) write(out, item, sorted);
  } else {
    let entries = Object.entries(value as Fields).filter(([, item]) => item !== undefined);
    if (sorted) {
      entries = entries
        .map(([key, item]) => [key, item, TO_BYTES.encode(key)] as const)
        .sort((a, b) => compareBytes(a[2], b[2]))
        .map(([key, item]) => [key, item]);
    }
    head(out, entries.length, 0x80, 15, [0, 0xde, 0xdf]);
    for (const [key, item] of entries) {
      write(out, key, sorted);
      write(out, item as Value, sorted);
    }
  }
}

/** Which of two byte strings comes first: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const way = (a[i] as number) - (b[i] as number);
    if (way !== 0) return way;
  }
  return a.length - b.length;
}

/**
 * The one value that `data` holds from `from` to its end; maps have no prototype.
 *
 * Throws `Malformed`: anything but exactly one value, a key twice or that is no text, too many parts, a float.
 */
export function unpack(data: Uint8Array, from = 0): Value {
  const reader = new Reader(data, from);
  const value = reader.value();
  if (reader.at !== data.length) throw new Malformed("msgpack");
  return value;
}

class Reader {
  private left = CONTAINERS_MAX;
  private readonly view: DataView;

  constructor(
    private readonly data: Uint8Array,
    public at: number,
  ) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  value(): Value {
    const first = this.number(1);
    if (first < 0x80) return first;
    if (first < 0x90) return this.map(first & 15);
    if (first < 0xa0) return this.list(first & 15);
    if (first < 0xc0) return this.text(first & 31);
    if (first >= 0xe0) return first - 0x100;
    switch (first) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.bytes(this.number(1));
      case 0xc5:
        return this.bytes(this.number(2));
      case 0xc6:
        return this.bytes(this.number(4));
      case 0xcc:
        return this.number(1);
      case 0xcd:
        return this.number(2);
      case 0xce:
        return this.number(4);
      case 0xcf:
        return this.long(this.number(4));
      case 0xd0:
        return (this.number(1) << 24) >> 24;
      case 0xd1:
        return (this.number(2) << 16) >> 16;
      case 0xd2:
        return this.number(4) | 0;
      case 0xd3:
        return this.long(this.number(4) | 0);
      case 0xd9:
        return this.text(this.number(1));
      case 0xda:
        return this.text(this.number(2));
      case 0xdb:
        return this.text(this.number(4));
      case 0xdc:
        return this.list(this.number(2));
      case 0xdd:
        return this.list(this.number(4));
      case 0xde:
        return this.map(this.number(2));
      case 0xdf:
        return this.map(this.number(4));
      default:
        throw new Malformed("msgpack");
    }
  }

  private take(size: number): number {
    const at = this.at;
    if (size > this.data.length - at) throw new Malformed("msgpack");
    this.at = at + size;
    return at;
  }

  private number(size: 1 | 2 | 4): number {
    const at = this.take(size);
    return size === 1
      ? this.view.getUint8(at)
      : size === 2
        ? this.view.getUint16(at)
        : this.view.getUint32(at);
  }

  private long(high: number): number {
    const value = high * 2 ** 32 + this.number(4);
    if (!Number.isSafeInteger(value)) throw new Malformed("field-range");
    return value;
  }

  private bytes(size: number): Uint8Array {
    const at = this.take(size);
    return this.data.slice(at, at + size);
  }

  private text(size: number): string {
    const at = this.take(size);
    let text: string;
    try {
      text = TO_TEXT.decode(this.data.subarray(at, at + size));
    } catch {
      throw new Malformed("msgpack");
    }
    if (text.includes("\0")) throw new Malformed("field-text");
    return text;
  }

  private list(size: number): Value[] {
    this.spend(size, LIST_MAX);
    const items: Value[] = [];
    for (let i = 0; i < size; i++) items.push(this.value());
    return items;
  }

  private map(size: number): Fields {
    this.spend(size, MAP_MAX);
    const fields: Record<string, Value> = Object.create(null);
    for (let i = 0; i < size; i++) {
      const key = this.value();
      if (typeof key !== "string") throw new Malformed("msgpack");
      if (key in fields) throw new Malformed("msgpack-twice");
      fields[key] = this.value();
    }
    return fields;
  }

  private spend(size: number, most: number): void {
    if (size > most || --this.left < 0) throw new Malformed("msgpack-budget");
  }
}
