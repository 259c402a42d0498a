/** A crowd as pixels against a slow twin; counted people keep their spots, and never stand among those told of. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Camera } from "../src/draw/camera";
import { lightAt } from "../src/draw/light";
import { cutOut, lay } from "../src/draw/pixels";
import type { Scene } from "../src/draw/renderer";
import { Throng } from "../src/draw/throng";

/** The same numbers each time. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A figure with a hidden edge, a soft ring, a solid middle and a hole. */
function figure(side: number, roll: () => number): ImageData {
  const data = new Uint8ClampedArray(side * side * 4);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const away = Math.hypot(x - side / 2, y - side / 2) / side;
      const alpha = away < 0.1 ? 0 : away < 0.3 ? 255 : away < 0.42 ? Math.floor(roll() * 256) : 0;
      data.set([roll() * 256, roll() * 256, roll() * 256, alpha], 4 * (y * side + x));
    }
  }
  return { width: side, height: side, data, colorSpace: "srgb" } as ImageData;
}

/** What `lay` should do, one part of one pixel at a time. */
function layOne(below: number[], image: ImageData, at: number, fade: number): number[] {
  const alpha = ((image.data[at + 3] as number) / 255) * fade;
  return below.map((value, i) => (image.data[at + i] as number) * alpha + value * (1 - alpha));
}

test("a figure laid over the ground is what a slow painter makes of it, at the edges too", () => {
  const roll = dice(7);
  const [width, height] = [60, 50];
  for (let round = 0; round < 200; round++) {
    const side = 5 + Math.floor(roll() * 24);
    const image = figure(side, roll);
    const x = Math.floor(roll() * (width + 30)) - 15;
    const y = Math.floor(roll() * (height + 30)) - 15;
    const fade = round % 3 === 0 ? roll() : 1;
    const ground = Uint32Array.from({ length: width * height }, () => 0xff000000 | (roll() * 0x1000000));
    const laid = ground.slice();
    lay(laid, width, height, cutOut(image), x, y, fade);
    const left = Math.round(x - side / 2);
    const top = Math.round(y - side / 2);
    for (let i = 0; i < laid.length; i++) {
      const column = (i % width) - left;
      const row = Math.floor(i / width) - top;
      const parts = (value: number): number[] => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255];
      const below = parts(ground[i] as number);
      const inside = column >= 0 && row >= 0 && column < side && row < side;
      const want = inside ? layOne(below, image, 4 * (row * side + column), fade) : below;
      const made = parts(laid[i] as number);
      assert.equal((laid[i] as number) >>> 24, 255, "the picture stays opaque");
      for (let part = 0; part < 3; part++)
        assert(
          Math.abs((made[part] as number) - (want[part] as number)) <= 4,
          `${round}: ${made} is not ${want}`,
        );
    }
  }
});

/** A picture of a square of 100 m, with so many counted in its four cells of 64 m, and so many told of around oneself. */
function scene(counts: readonly number[], told: number): Scene {
  const camera = new Camera(64, 64, 8);
  camera.width = camera.height = 800;
  const around = (f: (turn: number) => number): Float64Array =>
    Float64Array.from({ length: told }, (_, i) => 64 + 12 * Math.sqrt((i + 1) / told) * f(i * 2.4));
  return {
    camera,
    view: {
      count: told,
      east: around(Math.cos),
      north: around(Math.sin),
      me: { id: 1, east: 64, north: 64, up: 0, yaw: 0, state: 0, goal: null },
      density: [
        {
          level: 10,
          side: 64,
          count: 4,
          columns: Uint32Array.of(0, 1, 0, 1),
          rows: Uint32Array.of(0, 0, 1, 1),
          people: Uint16Array.from(counts),
        },
      ],
    },
    light: lightAt(0, "day"),
    fewer: false,
  } as unknown as Scene;
}

const BOX = { west: 0, east: 128, south: 0, north: 128 };
const spots = (throng: Throng): string[] =>
  Array.from({ length: throng.count }, (_, i) => `${throng.east[i]} ${throng.north[i]}`);

test("as many figures stand in a cell as were counted, and stay where they are when others come", () => {
  const throng = new Throng();
  throng.gather(scene([40, 0, 7, 3], 0), BOX, 1, 0);
  assert.equal(throng.count, 50);
  const west = spots(throng).filter((_, i) => (throng.east[i] as number) < 64);
  assert.equal(west.length, 47);
  throng.gather(scene([41, 5, 7, 3], 0), BOX, 1, 10_000);
  assert.equal(throng.count, 56);
  const after = new Set(spots(throng));
  for (const spot of west) assert(after.has(spot));
});

test("counts are looked at anew now and then, and at once for another piece of ground", () => {
  const throng = new Throng();
  throng.gather(scene([10, 0, 0, 0], 0), BOX, 1, 0);
  throng.gather(scene([20, 0, 0, 0], 0), BOX, 1, 100);
  assert.equal(throng.count, 10);
  throng.gather(scene([20, 0, 0, 0], 0), BOX, 2, 110);
  assert.equal(throng.count, 20);
});

test("nobody who is only counted stands among those who are told of one by one", () => {
  const throng = new Throng();
  throng.gather(scene([300, 300, 300, 300], 100), BOX, 1, 0);
  assert.equal(throng.count, 1200);
  let among = 0;
  for (let i = 0; i < throng.count; i++)
    if (Math.hypot((throng.east[i] as number) - 64, (throng.north[i] as number) - 64) < 10) among++;
  assert.equal(among, 0);
});

test("of more than can be drawn every cell loses the same share", () => {
  const throng = new Throng();
  throng.gather(scene([40_000, 20_000, 0, 0], 0), BOX, 1, 0);
  assert(throng.count <= 6000 && throng.count > 5900);
  const west = Array.from(throng.east.subarray(0, throng.count)).filter((east) => east < 64).length;
  assert(Math.abs(west / throng.count - 2 / 3) < 0.01);
});
