/**
 * How long a picture takes: the page's renderer over a crowd made up on the spot, without any node.
 *
 *   crowd.html?people=2000&scale=8&frames=300&hour=night   prints p50 and p95 of a frame in milliseconds
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
  density: [],
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
  camera.east = MIDDLE.east + Math.sin(t / 2) * 6;
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
  times.push(performance.now() - begun);
  gaps.push(now - last);
  last = now;
  if (times.length < frames) requestAnimationFrame(step);
  else tell();
}

function tell(): void {
  const part = (of: number[], share: number): number => {
    const sorted = of.slice(30).sort((a, b) => a - b);
    return Math.round(sorted[Math.floor(sorted.length * share)] * 10) / 10;
  };
  const result = {
    people,
    scale,
    hour,
    drawP50: part(times, 0.5),
    drawP95: part(times, 0.95),
    frameP50: part(gaps, 0.5),
    frameP95: part(gaps, 0.95),
  };
  document.title = JSON.stringify(result);
}

requestAnimationFrame(step);
