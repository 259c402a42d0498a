/**
 * Packed messages: POSE out, POSES and DENSITY in. Frames are decoded into arrays that are used again for the next one,
 * so that ten frames a second leave nothing to be collected.
 */

import { Malformed } from "./msgpack";

export const POSE = 0x01;
export const POSES = 0x02;
export const DENSITY = 0x03;

const HEADER_BYTES = 16;
const ROW_BYTES = 16;
const WORLD_CM = 6_553_600;

/** The 16 bytes of one's own pose; positions in centimetres, `ackMs` the `t_ms` last read. */
export function encodePose(
  seq: number,
  eastCm: number,
  northCm: number,
  up: number,
  yaw: number,
  state: number,
  ackMs: number,
): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(16);
  const view = new DataView(data.buffer);
  data[0] = POSE;
  data[1] = state;
  view.setUint16(2, seq & 0xffff, true);
  view.setInt32(4, eastCm, true);
  view.setInt32(8, northCm, true);
  view.setInt16(12, up, true);
  data[14] = yaw;
  data[15] = (ackMs >>> 6) & 255;
  return data;
}

/** The people of one POSES: `count` rows; positions in metres, heights in metres, yaw in 256ths of a turn. */
export class PosesFrame {
  tier = 0;
  stepCm = 1;
  tMs = 0;
  count = 0;
  ids = new Float64Array(128);
  east = new Float64Array(128);
  north = new Float64Array(128);
  up = new Float32Array(128);
  yaw = new Uint8Array(128);
  state = new Uint8Array(128);

  /**
   * Holds what `data` says from now on.
   *
   * Throws `Malformed`: not exactly one POSES.
   */
  read(data: Uint8Array): void {
    if (data.length < HEADER_BYTES || data[0] !== POSES) throw new Malformed("frame-size");
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const count = view.getUint16(2, true);
    if (data.length !== HEADER_BYTES + ROW_BYTES * count) throw new Malformed("frame-size");
    const packed = data[1] as number;
    const shift = packed >> 4;
    this.tier = packed & 15;
    this.stepCm = 2 ** shift;
    this.tMs = view.getUint32(4, true);
    this.count = count;
    if (count > this.ids.length) this.grow(count);
    const eastCm = view.getInt32(8, true);
    const northCm = view.getInt32(12, true);
    const de = HEADER_BYTES + 8 * count;
    const dn = de + 2 * count;
    const up = dn + 2 * count;
    const yaw = up + 2 * count;
    const state = yaw + count;
    for (let i = 0; i < count; i++) {
      const id = HEADER_BYTES + 8 * i;
      this.ids[i] = view.getUint32(id + 4, true) * 2 ** 32 + view.getUint32(id, true);
      this.east[i] = clamp(eastCm + view.getInt16(de + 2 * i, true) * this.stepCm) / 100;
      this.north[i] = clamp(northCm + view.getInt16(dn + 2 * i, true) * this.stepCm) / 100;
      this.up[i] = view.getInt16(up + 2 * i, true) * 0.04;
      this.yaw[i] = data[yaw + i] as number;
      this.state[i] = data[state + i] as number;
    }
  }

  private grow(count: number): void {
    const size = 2 ** Math.ceil(Math.log2(count));
    this.ids = new Float64Array(size);
    this.east = new Float64Array(size);
    this.north = new Float64Array(size);
    this.up = new Float32Array(size);
    this.yaw = new Uint8Array(size);
    this.state = new Uint8Array(size);
  }
}

/** The counts of one DENSITY: `count` cells of one level by column (from the west) and row (from the south). */
export class DensityFrame {
  level = 0;
  tMs = 0;
  count = 0;
  columns = new Uint32Array(64);
  rows = new Uint32Array(64);
  people = new Uint16Array(64);

  /**
   * Holds what `data` says from now on.
   *
   * Throws `Malformed`: not exactly one DENSITY.
   */
  read(data: Uint8Array): void {
    if (data.length < 8 || data[0] !== DENSITY) throw new Malformed("frame-size");
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const count = view.getUint16(2, true);
    const level = data[1] as number;
    if (data.length !== ((8 + 6 * count + 7) >> 3) << 3) throw new Malformed("frame-size");
    if (level > 16) throw new Malformed("frame-level");
    this.level = level;
    this.tMs = view.getUint32(4, true);
    this.count = count;
    if (count > this.columns.length) {
      const size = 2 ** Math.ceil(Math.log2(count));
      this.columns = new Uint32Array(size);
      this.rows = new Uint32Array(size);
      this.people = new Uint16Array(size);
    }
    for (let i = 0; i < count; i++) {
      const morton = view.getUint32(8 + 4 * i, true);
      this.columns[i] = everySecondBit(morton);
      this.rows[i] = everySecondBit(morton >>> 1);
      this.people[i] = view.getUint16(8 + 4 * count + 2 * i, true);
    }
  }
}

function clamp(cm: number): number {
  return cm < 0 ? 0 : cm >= WORLD_CM ? WORLD_CM - 1 : cm;
}

/** Bits 0, 2, 4 … of a number, put together. */
function everySecondBit(morton: number): number {
  let bits = morton & 0x55555555;
  bits = (bits | (bits >>> 1)) & 0x33333333;
  bits = (bits | (bits >>> 2)) & 0x0f0f0f0f;
  bits = (bits | (bits >>> 4)) & 0x00ff00ff;
  return (bits | (bits >>> 8)) & 0x0000ffff;
}
