/**
 * The ground of the city: land, gu, hills, the river with its islands and bridges, streams, streets, and the blocks
 * between them. Painted once into tiles, in the colours of noon; `dusk` then lays the light of the hour over it.
 */

import type { Place } from "../state/places";
import { BLOCKS_FROM, blocks, windows } from "./blocks";
import { fill, type Ink, type Patch, rgba, softStroke, stroke, trace } from "./brush";
import { boxOf, type City, grown, meets } from "./city";
import { chance, HILLS, STREAMS, STREETS } from "./hints";
import { avenue, grove } from "./trees";

export const PAPER = "#dfdacb";
const LAND = ["#ece6d8", "#e9e3d6", "#eee8db", "#e8e4d5", "#ebe5d4"] as const;
const WATER = "#9dc0c9";
const WATER_EDGE = "#86adb8";
const GREEN = "#bccb9e";
const HILL = [170, 190, 140] as const;
const STREET = "#f8f4ea";
const STREET_EDGE = "#d9d1bf";
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
  ink.fillRect(box.west - px, box.south - px, box.east - box.west + 2 * px, box.north - box.south + 2 * px);
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
