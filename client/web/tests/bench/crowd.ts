/**
 * How long a picture takes: the page's renderer over a crowd made up on the spot, without any node.
 *
 *   bench.html?people=2000&counted=0&scale=8&frames=300&hour=night
 *
 * `people` are told of one by one and all walk; `counted` more stand around in cells of 32 m, and their counts change twice
 * a second. The title says p50 and p95 in milliseconds: of drawing, and from one frame to the next. Beforehand half as many
 * frames are drawn, in which figures and ground are painted; then the title says "warm".
 */

import { Camera } from "../../src/draw/camera";
import { readCity } from "../../src/draw/city";
import { FlatRenderer } from "../../src/draw/flat";
import { lightAt } from "../../src/draw/light";
import { lookOf, writeLook } from "../../src/draw/look";
import { readPlaces } from "../../src/state/places";
import type { Person, WorldView } from "../../src/state/world";

const asked = new URLSearchParams(location.search);
const number = (name: string, otherwise: number): number => Number(asked.get(name) ?? otherwise);
const people = number("people", 2000);
const counted = number("counted", 0);
const frames = number("frames", 300);
const scale = number("scale", 8);
const hour = asked.get("hour") === "night" ? "night" : "day";
const MIDDLE = { east: 33_808, north: 32_650 };

const canvas = document.querySelector("canvas") as HTMLCanvasElement;
const renderer = new FlatRenderer(canvas);
const camera = new Camera(MIDDLE.east, MIDDLE.north, scale);
camera.width = innerWidth;
camera.height = innerHeight;
renderer.resize(innerWidth, innerHeight, 1);

/** Cells of 32 m that cover the picture at its smallest scale of interest: what a node counts. */
const SIDE = 32;
const ACROSS = 8;
const density = {
  level: 11,
  side: SIDE,
  count: counted > 0 ? ACROSS * ACROSS : 0,
  columns: new Uint32Array(ACROSS * ACROSS),
  rows: new Uint32Array(ACROSS * ACROSS),
  people: new Uint16Array(ACROSS * ACROSS),
};

/** As many in the picture as were asked for, now and then one more or less in a cell. */
function count(turn: number): void {
  const inPicture = (innerWidth / scale / SIDE) * (innerHeight / scale / SIDE);
  for (let i = 0; i < density.count; i++) {
    density.columns[i] = Math.floor(MIDDLE.east / SIDE) - ACROSS / 2 + (i % ACROSS);
    density.rows[i] = Math.floor(MIDDLE.north / SIDE) - ACROSS / 2 + Math.floor(i / ACROSS);
    density.people[i] = Math.round(counted / inPicture) + ((i * 7 + turn) % 3);
  }
}

const known = new Map<number, Person>();
const view: WorldView = {
  count: people,
  ids: Float64Array.from({ length: people }, (_, i) => i * 7919 + 11),
  east: new Float64Array(people),
  north: new Float64Array(people),
  up: new Float32Array(people),
  yaw: new Float32Array(people),
  state: new Uint8Array(people).fill(1),
  fade: new Float32Array(people).fill(1),
  density: [density],
  me: { id: 1, ...MIDDLE, up: 0, yaw: 0, state: 0, goal: null },
  objects: new Map(),
  objectsVersion: 0,
  people: known,
  serverTime: () => Date.now(),
  link: "here",
  handoffs: 0,
  node: "",
  url: "",
  roundTripMs: 0,
};
for (let i = 0; i < people; i++) {
  const id = view.ids[i];
  known.set(id, {
    id,
    name: `사람 ${i}`,
    look: writeLook(lookOf(id)),
    kind: i % 5 === 0 ? "program" : "person",
  });
}

const [city, places] = await Promise.all(
  ["/api/v1/city", "/api/v1/places"].map(async (path) => (await fetch(path)).json()),
);
const shape = readCity(city);
const table = readPlaces(places);
const times: number[] = [];
const gaps: number[] = [];
const warm = Math.ceil(frames / 2);
let drawn = 0;
let last = performance.now();

function step(now: number): void {
  const t = now / 1000;
  for (let i = 0; i < people; i++) {
    // everybody in the picture, each on a small round of their own
    const turn = t * 0.3 + i;
    const width = innerWidth / scale;
    const height = innerHeight / scale;
    view.east[i] = MIDDLE.east + (((i * 0.754877) % 1) - 0.5) * width + Math.cos(turn) * 3;
    view.north[i] = MIDDLE.north + (((i * 0.56984) % 1) - 0.5) * height + Math.sin(turn) * 3;
    view.yaw[i] = -turn;
  }
  count(Math.floor(t * 2));
  camera.east = MIDDLE.east + Math.sin(t / 2) * 6;
  if (view.me !== null) view.me.east = camera.east;
  const begun = performance.now();
  renderer.draw(
    {
      camera,
      view,
      city: shape,
      places: table.all,
      light: lightAt(Date.now(), hour),
      bubbles: new Map(),
      pulses: [],
      buses: shape.buses.at(Date.now()),
      regions: null,
      hidden: new Set(),
      friends: new Set(),
      selected: null,
      name: "나",
      look: "",
      still: false,
      fewer: false,
    },
    now,
  );
  drawn += 1;
  if (drawn === warm) document.title = "warm";
  if (drawn > warm) {
    times.push(performance.now() - begun);
    gaps.push(now - last);
  }
  last = now;
  if (times.length < frames) requestAnimationFrame(step);
  else tell();
}

function tell(): void {
  const part = (of: number[], share: number): number => {
    const sorted = [...of].sort((a, b) => a - b);
    return Math.round(sorted[Math.floor(sorted.length * share)] * 10) / 10;
  };
  document.title = JSON.stringify({
    people,
    counted,
    scale,
    hour,
    draw_p50_ms: part(times, 0.5),
    draw_p95_ms: part(times, 0.95),
    frame_p50_ms: part(gaps, 0.5),
    frame_p95_ms: part(gaps, 0.95),
  });
}

requestAnimationFrame(step);
