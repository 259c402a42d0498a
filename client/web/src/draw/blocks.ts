/**
 * What nobody has declared between the streets: blocks turned as their gu is, and near enough the roofs in them. They
 * are invented from their position alone, so that every page invents the same.
 */

import type { Line, Place } from "../state/places";
import { type Ink, type Patch, rgba, shade } from "./brush";
import { type City, distanceTo, fromWater, guAt, inside, meets } from "./city";
import { chance, HILLS, STREAMS, STREETS } from "./hints";

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
export const windows: number[] = [];
const BLOCK_M = 84;
export const BLOCKS_FROM = 0.09;
const HOUSES_FROM = 0.7;

/** Blocks between the streets, turned as their gu is; near enough, the roofs in them. */
export function blocks(ink: Ink, patch: Patch, city: City, places: readonly Place[]): void {
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
