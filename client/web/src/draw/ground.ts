/**
 * The ground of the city: land, gu, hills, the river with its islands and bridges, streams, streets, and the blocks
 * between them. Painted once into tiles, in the colours of noon; `dusk` then lays the light of the hour over it.
 */

import type { Line, Place } from "../state/places";
import { disc, fill, type Ink, type Patch, rgba, shade, softStroke, stroke, trace } from "./brush";
import { boxOf, type City, distanceTo, fromWater, grown, guAt, inside, meets } from "./city";
import { chance, HILLS, STREAMS, STREETS } from "./hints";

export const PAPER = "#dfdacb";
const LAND = ["#ece6d8", "#e9e3d6", "#eee8db", "#e8e4d5", "#ebe5d4"] as const;
const WATER = "#9dc0c9";
const WATER_EDGE = "#86adb8";
const GREEN = "#bccb9e";
const HILL = [170, 190, 140] as const;
const STREET = "#f8f4ea";
const STREET_EDGE = "#d9d1bf";
const ROOFS = [
  "#d9d2c4",
  "#cfc9bd",
  "#c9c4bb",
  "#d6cbbb",
  "#bfbcb6",
  "#a9bfa6",
  "#c8b29d",
  "#b9b4ad",
  "#ded8cb",
] as const;
/** Windows of the houses just painted, to be lit when the hour is laid over them: east, north, side. */
const windows: number[] = [];
const BLOCK_M = 84;
const BLOCKS_FROM = 0.09;
const HOUSES_FROM = 0.7;

export function paintGround(ink: Ink, patch: Patch, city: City, places: readonly Place[]): void {
  windows.length = 0;
  const { box, scale } = patch;
  const px = 1 / scale;
  // the rooms of the annex lie far from the city: around them is quiet
  const annex =
    scale > 2 &&
    !city.gu.some((gu) => meets(gu.box, box)) &&
    places.some((place) => place.ground !== "city" && meets(boxOf(place.outline), grown(box, 60)));
  ink.fillStyle = annex ? "#6b645c" : PAPER;
  ink.fillRect(box.west, box.south, box.east - box.west, box.north - box.south);
  ink.lineJoin = "round";
  ink.lineCap = "round";
  for (let i = 0; i < city.gu.length; i++) {
    if (meets(city.gu[i].box, box)) fill(ink, city.gu[i].outline, LAND[i % LAND.length]);
  }
  hills(ink, patch);
  parks(ink, patch, city);
  if (scale >= BLOCKS_FROM) blocks(ink, patch, city, places);
  ink.setLineDash([6 * px, 5 * px]);
  for (const gu of city.gu) {
    if (meets(gu.box, box))
      stroke(ink, gu.outline, rgba(120, 92, 84, scale < 0.4 ? 0.5 : 0.22), 1.3 * px, true);
  }
  ink.setLineDash([]);
  water(ink, patch, city);
  streets(ink, patch);
  if (scale > 0.6) avenue(ink, patch, places);
}

function hills(ink: Ink, { box, scale }: Patch): void {
  for (const { east, north, radius } of HILLS) {
    const reach = radius * 1.5;
    if (
      east + reach < box.west ||
      east - reach > box.east ||
      north + reach < box.south ||
      north - reach > box.north
    )
      continue;
    // three rings of one wandering outline, like the ridges of an old map
    for (let ring = 0; ring < 4; ring++) {
      const size = radius * (1.3 - 0.3 * ring);
      ink.beginPath();
      for (let i = 0; i <= 40; i++) {
        const turn = (i / 40) * 2 * Math.PI;
        const seed = Math.round(east + north);
        const wander =
          0.82 +
          0.2 * Math.sin(3 * turn + chance(seed, 1, 0) * 6) +
          0.1 * Math.sin(5 * turn + chance(seed, 2, 0) * 6) +
          0.05 * Math.sin(9 * turn + ring + chance(seed, 3, 0) * 6);
        const e = east + Math.cos(turn) * size * wander;
        const n = north + Math.sin(turn) * size * wander;
        if (i === 0) ink.moveTo(e, n);
        else ink.lineTo(e, n);
      }
      ink.closePath();
      ink.fillStyle = rgba(HILL[0] - 8 * ring, HILL[1] - 6 * ring, HILL[2] - 8 * ring, 0.34);
      ink.fill();
      if (scale > 0.02) {
        ink.strokeStyle = rgba(104, 126, 86, 0.14);
        ink.lineWidth = 1 / scale;
        ink.stroke();
      }
    }
    if (scale > 0.25) grove(ink, east, north, radius, { box, scale });
  }
}

/** Trees of a hill where one is near enough to see them. */
function grove(
  ink: Ink,
  east: number,
  north: number,
  radius: number,
  { box, scale }: Pick<Patch, "box" | "scale">,
): void {
  const step = scale > 1.5 ? 11 : 26;
  for (let i = Math.floor(box.west / step) - 1; i <= box.east / step; i++) {
    for (let j = Math.floor(box.south / step) - 1; j <= box.north / step; j++) {
      const e = (i + chance(i, j, 11)) * step;
      const n = (j + chance(i, j, 12)) * step;
      const away = Math.hypot(e - east, n - north) / radius;
      if (away > 0.95 || chance(i, j, 13) > 0.85) continue;
      tree(ink, e, n, step * (0.28 + 0.22 * chance(i, j, 14)), 0.5);
    }
  }
}

/** One crown seen from above. */
export function tree(ink: Ink, east: number, north: number, radius: number, alpha = 1): void {
  const hue = chance(Math.round(east), Math.round(north), 5);
  const r = Math.round(112 + 26 * hue);
  const g = Math.round(146 + 16 * hue);
  disc(ink, east, north, radius, rgba(r, g, 96, alpha));
  disc(
    ink,
    east - radius * 0.22,
    north + radius * 0.25,
    radius * 0.6,
    rgba(r + 26, g + 22, 116, alpha * 0.8),
  );
}

function parks(ink: Ink, { box, scale }: Patch, city: City): void {
  fill(ink, city.parks, GREEN);
  stroke(ink, city.northRoad, STREET_EDGE, Math.max(26, 2.6 / scale));
  stroke(ink, city.southRoad, STREET_EDGE, Math.max(26, 2.6 / scale));
  stroke(ink, city.northRoad, STREET, Math.max(21, 1.6 / scale));
  stroke(ink, city.southRoad, STREET, Math.max(21, 1.6 / scale));
  for (const island of city.islands) {
    if (
      island.inRiver ||
      Math.hypot(island.east - mid(box.west, box.east), island.north - mid(box.south, box.north)) > 1e5
    )
      continue;
    // Yeouido lies behind a narrow water of its own
    ellipse(
      ink,
      island.east,
      island.north,
      island.length / 2 + 45,
      island.breadth / 2 + 45,
      island.turn,
      WATER,
    );
    ellipse(ink, island.east, island.north, island.length / 2, island.breadth / 2, island.turn, LAND[1]);
  }
}

const mid = (a: number, b: number): number => (a + b) / 2;

function ellipse(ink: Ink, e: number, n: number, a: number, b: number, turn: number, colour: string): void {
  ink.beginPath();
  ink.ellipse(e, n, a, b, turn, 0, 2 * Math.PI);
  ink.fillStyle = colour;
  ink.fill();
}

function water(ink: Ink, { box, scale }: Patch, city: City): void {
  for (const stream of STREAMS) {
    const width = Math.max(stream.width, 1.4 / scale);
    softStroke(ink, stream.line, GREEN, width + Math.min(50, stream.width * 0.9));
    softStroke(ink, stream.line, WATER, width * 0.7);
  }
  ink.beginPath();
  trace(ink, city.river);
  ink.fillStyle = WATER;
  ink.fill();
  ink.strokeStyle = WATER_EDGE;
  ink.lineWidth = Math.max(3, 1.2 / scale);
  ink.stroke();
  ripples(ink, city, box, scale);
  for (const island of city.islands) {
    if (!island.inRiver) continue;
    ellipse(
      ink,
      island.east,
      island.north,
      island.length / 2 + 8,
      island.breadth / 2 + 8,
      island.turn,
      "#b9cdb8",
    );
    ellipse(ink, island.east, island.north, island.length / 2, island.breadth / 2, island.turn, GREEN);
  }
  for (const bridge of city.bridges) {
    const width = Math.max(26, 2.2 / scale);
    stroke(ink, bridge.line, rgba(70, 96, 104, 0.25), width + 5 / scale);
    stroke(ink, bridge.line, STREET_EDGE, width);
    stroke(ink, bridge.line, STREET, width * 0.72);
  }
}

/** Long quiet strokes along the stream of the river. */
function ripples(ink: Ink, city: City, box: Patch["box"], scale: number): void {
  ink.save();
  ink.beginPath();
  trace(ink, city.river);
  ink.clip();
  const middle = city.middle;
  for (const share of [-0.62, -0.3, 0.05, 0.36, 0.7]) {
    const line = new Float64Array(middle.length);
    for (let i = 0; i < city.half.length; i++) {
      const a = 2 * Math.max(0, i - 1);
      const b = 2 * Math.min(city.half.length - 1, i + 1);
      const de = middle[b] - middle[a];
      const dn = middle[b + 1] - middle[a + 1];
      const length = Math.hypot(de, dn) || 1;
      const away = city.half[i] * (share + 0.05 * Math.sin(i * 0.7 + share * 9));
      line[2 * i] = middle[2 * i] - (dn / length) * away;
      line[2 * i + 1] = middle[2 * i + 1] + (de / length) * away;
    }
    softStroke(ink, line, rgba(255, 255, 255, 0.2), Math.max(6, 1.6 / scale));
  }
  if (scale > 0.5) {
    const step = 24;
    for (let i = Math.floor(box.west / step); i <= box.east / step; i++) {
      for (let j = Math.floor(box.south / step); j <= box.north / step; j++) {
        if (chance(i, j, 31) > 0.45) continue;
        const e = (i + chance(i, j, 32)) * step;
        const n = (j + chance(i, j, 33)) * step;
        stroke(
          ink,
          Float64Array.of(e, n, e + 6 + 9 * chance(i, j, 34), n - 2),
          rgba(255, 255, 255, 0.24),
          0.8,
        );
      }
    }
  }
  ink.restore();
}

function streets(ink: Ink, { scale }: Patch): void {
  const widthOf = (width: number): number => Math.max(width, Math.min(2.4, 0.7 + width / 22) / scale);
  for (const street of STREETS)
    softStroke(ink, street.line, STREET_EDGE, widthOf(street.width) + 1.2 / scale);
  for (const street of STREETS) softStroke(ink, street.line, STREET, widthOf(street.width));
  if (scale > 0.8) {
    ink.setLineDash([6, 9]);
    for (const street of STREETS) softStroke(ink, street.line, rgba(196, 178, 140, 0.55), 0.5);
    ink.setLineDash([]);
  }
}

/** Calls back along a line, `step` metres apart and `aside` metres to either side, within the box. */
function along(
  line: Line,
  step: number,
  aside: number,
  box: Patch["box"],
  visit: (e: number, n: number) => void,
): void {
  for (let i = 0; i + 3 < line.length; i += 2) {
    const de = line[i + 2] - line[i];
    const dn = line[i + 3] - line[i + 1];
    const length = Math.hypot(de, dn);
    for (let at = step / 2; at < length; at += step) {
      for (const side of [-1, 1]) {
        const e = line[i] + (de * at + dn * aside * side) / length;
        const n = line[i + 1] + (dn * at - de * aside * side) / length;
        if (e > box.west - 20 && e < box.east + 20 && n > box.south - 20 && n < box.north + 20) visit(e, n);
      }
    }
  }
}

/** Rows of trees along the great streets. */
function avenue(ink: Ink, { box }: Patch, places: readonly Place[]): void {
  for (const { line, width } of STREETS) {
    along(line, 17, width / 2 + 3, box, (e, n) => {
      if (places.some((place) => inside(place.outline, e, n))) return;
      const size = 2.4 + chance(Math.round(e), Math.round(n), 8);
      disc(ink, e + 0.9, n - 0.9, size, rgba(40, 38, 60, 0.14));
      tree(ink, e, n, size);
    });
  }
}

/** Blocks between the streets, turned as their gu is; near enough, the roofs in them. */
function blocks(ink: Ink, patch: Patch, city: City, places: readonly Place[]): void {
  const { box, scale } = patch;
  const margin = BLOCK_M;
  const near = places.filter((place) => place.ground === "city");
  for (const gu of city.gu) {
    if (
      !meets(gu.box, {
        west: box.west - margin,
        south: box.south - margin,
        east: box.east + margin,
        north: box.north + margin,
      })
    )
      continue;
    const turn = (chance(gu.code, 1, 2) - 0.5) * 0.5;
    const c = Math.cos(turn);
    const s = Math.sin(turn);
    const corners = [
      [box.west, box.south],
      [box.east, box.south],
      [box.west, box.north],
      [box.east, box.north],
    ];
    const us = corners.map(([e, n]) => (e * c + n * s) / BLOCK_M);
    const vs = corners.map(([e, n]) => (-e * s + n * c) / BLOCK_M);
    for (let i = Math.floor(Math.min(...us)) - 1; i <= Math.max(...us) + 1; i++) {
      for (let j = Math.floor(Math.min(...vs)) - 1; j <= Math.max(...vs) + 1; j++) {
        if (chance(i, j, 21) > 0.93) continue;
        const u = (i + 0.5) * BLOCK_M;
        const v = (j + 0.5) * BLOCK_M;
        const e = u * c - v * s;
        const n = u * s + v * c;
        if (
          e < box.west - margin ||
          e > box.east + margin ||
          n < box.south - margin ||
          n > box.north + margin
        )
          continue;
        if (guAt(city, e, n) !== gu || !built(city, near, e, n, scale < HOUSES_FROM ? 40 : 4)) continue;
        block(ink, i, j, c, s, scale, (he, hn) => built(city, near, he, hn, 17));
      }
    }
  }
}

/** Whether an invented block may stand here: not in water, on a hill, a great street or a declared place. */
function built(city: City, places: readonly Place[], east: number, north: number, clear: number): boolean {
  if (fromWater(city, east, north) < 190) return false;
  for (const hill of HILLS)
    if (Math.hypot(hill.east - east, hill.north - north) < hill.radius * 1.1) return false;
  for (const street of STREETS)
    if (distanceTo(street.line, east, north) < street.width / 2 + clear + 5) return false;
  for (const stream of STREAMS)
    if (distanceTo(stream.line, east, north) < stream.width / 2 + clear + 12) return false;
  for (const place of places) {
    if (Math.abs(place.middle.east - east) > 900 || Math.abs(place.middle.north - north) > 900) continue;
    if (inside(place.outline, east, north) || ringDistance(place.outline, east, north) < clear) return false;
  }
  return true;
}

function ringDistance(ring: Line, east: number, north: number): number {
  const n = ring.length;
  const closing = Float64Array.of(ring[n - 2], ring[n - 1], ring[0], ring[1]);
  return Math.min(distanceTo(ring, east, north), distanceTo(closing, east, north));
}

function block(
  ink: Ink,
  i: number,
  j: number,
  c: number,
  s: number,
  scale: number,
  free: (east: number, north: number) => boolean,
): void {
  const gap = 6 + 5 * chance(i, j, 22);
  const u = i * BLOCK_M + gap;
  const v = j * BLOCK_M + gap;
  const side = BLOCK_M - 2 * gap;
  const deep = side * (0.7 + 0.3 * chance(i, j, 23));
  const quad = (u0: number, v0: number, w: number, h: number): void => {
    ink.beginPath();
    ink.moveTo(u0 * c - v0 * s, u0 * s + v0 * c);
    ink.lineTo((u0 + w) * c - v0 * s, (u0 + w) * s + v0 * c);
    ink.lineTo((u0 + w) * c - (v0 + h) * s, (u0 + w) * s + (v0 + h) * c);
    ink.lineTo(u0 * c - (v0 + h) * s, u0 * s + (v0 + h) * c);
    ink.closePath();
  };
  if (scale < HOUSES_FROM) {
    quad(u, v, side, deep);
    ink.fillStyle = rgba(214, 206, 190, scale < 0.25 ? 0.5 : 0.62);
    ink.fill();
    return;
  }
  const across = 2 + Math.floor(chance(i, j, 24) * 3);
  const down = 2 + Math.floor(chance(i, j, 25) * 2);
  for (let a = 0; a < across; a++) {
    for (let b = 0; b < down; b++) {
      const seed = a * 8 + b;
      if (chance(i * 9 + seed, j, 26) > 0.9) continue;
      const w = side / across;
      const h = deep / down;
      const u0 = u + a * w + 1.2 + 2 * chance(i, j * 7 + seed, 27);
      const v0 = v + b * h + 1.2 + 2 * chance(i, j * 5 + seed, 28);
      const w0 = w - 3.6 - 2 * chance(i + seed, j, 29);
      const h0 = h - 3.6 - 2 * chance(i, j + seed, 30);
      const mu = u0 + w0 / 2;
      const mv = v0 + h0 / 2;
      if (!free(mu * c - mv * s, mu * s + mv * c)) continue;
      for (let k = 0; k < 4; k++) {
        if (chance(i * 5 + k, j * 3 + seed, 33) > 0.3) continue;
        const wu = mu + (chance(i + k, j + seed, 34) - 0.5) * w0 * 0.8;
        const wv = mv + (k % 2 === 0 ? 0.44 : -0.44) * h0;
        windows.push(wu * c - wv * s, wu * s + wv * c, 0.8 + 0.9 * chance(i, seed + k, 35));
      }
      const roof = ROOFS[Math.floor(chance(i * 3 + seed, j * 3, 31) * ROOFS.length)];
      quad(u0 + 1.4, v0 - 1.4, w0, h0);
      ink.fillStyle = rgba(60, 56, 70, 0.13);
      ink.fill();
      quad(u0, v0, w0, h0);
      ink.fillStyle = shade(roof, 0.28);
      ink.fill();
      ink.strokeStyle = rgba(120, 110, 96, 0.25);
      ink.lineWidth = 0.35;
      ink.stroke();
      if (scale > 2) {
        quad(u0 + w0 * 0.58, v0 + h0 * 0.55, w0 * 0.24, h0 * 0.26);
        ink.fillStyle = shade(roof, 0.05);
        ink.fill();
      }
    }
  }
}

/** A pool of warm light. */
export function lamp(ink: Ink, e: number, n: number, radius: number, strength: number): void {
  const pool = ink.createRadialGradient(e, n, 0, e, n, radius);
  pool.addColorStop(0, rgba(255, 190, 72, strength));
  pool.addColorStop(0.35, rgba(255, 172, 52, strength * 0.42));
  pool.addColorStop(1, rgba(255, 160, 40, 0));
  disc(ink, e, n, radius, pool);
}

/** Lays the hour over a painted patch: its tint, then lamps along the streets and lit windows. */
export function dusk(ink: Ink, patch: Patch, city: City, places: readonly Place[]): void {
  const { box, scale, light } = patch;
  const [r, g, b] = light.tint;
  if (r < 255 || g < 255 || b < 255) {
    ink.globalCompositeOperation = "multiply";
    ink.fillStyle = rgba(r, g, b, 1);
    ink.fillRect(box.west, box.south, box.east - box.west, box.north - box.south);
    ink.globalCompositeOperation = "source-over";
  }
  if (light.glow <= 0.05) return;
  ink.globalCompositeOperation = "lighter";
  for (let i = 0; i < windows.length; i += 3) {
    const size = windows[i + 2];
    ink.fillStyle = rgba(255, 186, 104, 0.62 * light.glow);
    ink.fillRect(windows[i] - size / 2, windows[i + 1] - size / 2, size, size);
  }
  const warm = 0.5 * light.glow;
  if (scale < 0.9) {
    const road = (line: Line, width: number): void => {
      softStroke(ink, line, rgba(255, 150, 60, 0.1 * warm), width * 2.6 + 3 / scale);
      softStroke(ink, line, rgba(255, 178, 90, 0.26 * warm), Math.max(width * 0.7, 1.3 / scale));
    };
    for (const street of STREETS) road(street.line, street.width);
    road(city.northRoad, 22);
    road(city.southRoad, 22);
  } else {
    for (const { line, width } of STREETS) {
      along(line, 34, width / 2 + 1, box, (e, n) => lamp(ink, e, n, 15, 0.3 * light.glow));
    }
  }
  for (const bridge of city.bridges) {
    stroke(ink, bridge.line, rgba(255, 180, 96, 0.5 * warm), Math.max(12, 1.5 / scale));
  }
  if (scale > 0.35) {
    const step = scale > 1.2 ? 30 : 42;
    for (let i = Math.floor(box.west / step) - 1; i <= box.east / step + 1; i++) {
      for (let j = Math.floor(box.south / step) - 1; j <= box.north / step + 1; j++) {
        if (chance(i, j, 41) > 0.3) continue;
        const e = (i + chance(i, j, 42)) * step;
        const n = (j + chance(i, j, 43)) * step;
        if (guAt(city, e, n) === null || fromWater(city, e, n) < 150) continue;
        if (places.some((place) => inside(place.outline, e, n))) continue;
        if (scale > 1.2) lamp(ink, e, n, 7 + 5 * chance(i, j, 44), 0.26 * light.glow);
        else disc(ink, e, n, 1.3 + chance(i, j, 44), rgba(255, 190, 110, 0.34 * light.glow));
      }
    }
  } else {
    const step = 2 ** Math.round(Math.log2(9 / scale));
    for (let i = Math.floor(box.west / step) - 1; i <= box.east / step + 1; i++) {
      for (let j = Math.floor(box.south / step) - 1; j <= box.north / step + 1; j++) {
        if (chance(i, j, 45) > 0.5) continue;
        const e = (i + chance(i, j, 46)) * step;
        const n = (j + chance(i, j, 47)) * step;
        if (guAt(city, e, n) === null || fromWater(city, e, n) < 150) continue;
        if (HILLS.some((hill) => Math.hypot(hill.east - e, hill.north - n) < hill.radius)) continue;
        disc(ink, e, n, (0.5 + 0.6 * chance(i, j, 48)) / scale, rgba(255, 206, 140, 0.34 * light.glow));
      }
    }
  }
  ink.globalCompositeOperation = "source-over";
}
