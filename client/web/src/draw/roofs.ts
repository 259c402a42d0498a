/**
 * Buildings in plan: a footprint, the shadow it throws, and its roof as one looks down on it.
 *
 * Roofs are named as the declarations name them: `hip` (ujingak), `hip-and-gable` (paljak), `gable` (matbae), with `two`
 * for a second tier, `flat`, `dome`, `round`, `glass`, `membrane`. A roof of four corners is pitched exactly; any other
 * outline is pitched around its longest axis.
 */

import type { Building, Line } from "../state/places";
import { disc, fill, type Ink, isColour, rgba, shade, stroke, trace } from "./brush";
import type { Light } from "./light";

const TILE_GREY = "#4a4f54";
const NOEROK = "#397664";
const SEOKGANJU = "#8a4c44";
const RIDGE = "#e3ddcb";

export function paintShadow(ink: Ink, building: Building, light: Light): void {
  const reach = Math.min(building.heightM, 60);
  const de = light.shadowEast * reach;
  const dn = light.shadowNorth * reach;
  const line = building.outline;
  ink.beginPath();
  for (let i = 0; i < line.length; i += 2) {
    const j = (i + 2) % line.length;
    // each wall sweeps a quad; together they are the shadow
    ink.moveTo(line[i], line[i + 1]);
    ink.lineTo(line[j], line[j + 1]);
    ink.lineTo(line[j] + de, line[j + 1] + dn);
    ink.lineTo(line[i] + de, line[i + 1] + dn);
    ink.closePath();
  }
  ink.moveTo(line[0] + de, line[1] + dn);
  for (let i = 2; i < line.length; i += 2) ink.lineTo(line[i] + de, line[i + 1] + dn);
  ink.closePath();
}

export function paintBuilding(ink: Ink, building: Building, light: Light, scale: number): void {
  const colour = isColour(building.colour) ? building.colour : "#c9c3b8";
  const roof = building.roof.toLowerCase();
  const line = building.outline;
  if (/dome|round|tower/.test(roof)) {
    round(ink, line, colour, light);
  } else if (/paljak|matbae|ujingak|hip|gable|pitched|giwa|tile/.test(roof) && line.length >= 8) {
    const quad = line.length === 8 ? line : around(line);
    const tiled = /pitched/.test(roof) ? colour : tileColour(colour);
    const form = /hip-and-gable|paljak/.test(roof)
      ? "paljak"
      : /gable|matbae/.test(roof)
        ? "matbae"
        : "ujingak";
    stroke(ink, line, shade(SEOKGANJU, -0.1), 0.5, true);
    pitched(ink, quad, tiled, form, light, scale, 1);
    if (/two|2/.test(roof)) {
      const upper = shrink(quad, 0.66);
      ink.save();
      ink.translate(light.shadowEast * 1.6, light.shadowNorth * 1.6);
      fill(ink, upper, rgba(20, 20, 34, 0.3));
      ink.restore();
      pitched(ink, upper, tiled, form, light, scale, 1);
    }
  } else if (/glass/.test(roof)) {
    glass(ink, line, colour, scale);
  } else if (/membrane|arcade|awning/.test(roof)) {
    membrane(ink, line, colour, scale);
  } else {
    flat(ink, line, colour, scale, light);
  }
}

/** Declared colours are of walls; grey ones are of tiles already. */
function tileColour(colour: string): string {
  const value = Number.parseInt(colour.slice(1), 16);
  const [r, g, b] = [(value >> 16) & 255, (value >> 8) & 255, value & 255];
  return Math.max(r, g, b) - Math.min(r, g, b) < 28 && r < 150 ? colour : TILE_GREY;
}

type Corner = readonly [number, number];

function corners(line: Line): [Corner, Corner, Corner, Corner] {
  return [
    [line[0], line[1]],
    [line[2], line[3]],
    [line[4], line[5]],
    [line[6], line[7]],
  ];
}

const between = (a: Corner, b: Corner, t: number): Corner => [
  a[0] + (b[0] - a[0]) * t,
  a[1] + (b[1] - a[1]) * t,
];
const away = (a: Corner, b: Corner): number => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** The rectangle around an outline, along its longest side. */
function around(line: Line): Line {
  let turn = 0;
  let longest = 0;
  for (let i = 0; i < line.length; i += 2) {
    const j = (i + 2) % line.length;
    const length = Math.hypot(line[j] - line[i], line[j + 1] - line[i + 1]);
    if (length > longest) {
      longest = length;
      turn = Math.atan2(line[j + 1] - line[i + 1], line[j] - line[i]);
    }
  }
  const c = Math.cos(turn);
  const s = Math.sin(turn);
  let [u0, v0, u1, v1] = [1e9, 1e9, -1e9, -1e9];
  for (let i = 0; i < line.length; i += 2) {
    const u = line[i] * c + line[i + 1] * s;
    const v = -line[i] * s + line[i + 1] * c;
    u0 = Math.min(u0, u);
    u1 = Math.max(u1, u);
    v0 = Math.min(v0, v);
    v1 = Math.max(v1, v);
  }
  const at = (u: number, v: number): [number, number] => [u * c - v * s, u * s + v * c];
  return Float64Array.from([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)].flat());
}

export function middleOf(line: Line): [number, number] {
  let e = 0;
  let n = 0;
  for (let i = 0; i < line.length; i += 2) {
    e += line[i];
    n += line[i + 1];
  }
  return [(2 * e) / line.length, (2 * n) / line.length];
}

export function shrink(line: Line, by: number): Line {
  const [e, n] = middleOf(line);
  return line.map((value, i) => (i % 2 === 0 ? e + (value - e) * by : n + (value - n) * by));
}

/** A tiled roof: four slopes, each as bright as it faces the sun, ribs of tiles, white ridges, painted eaves. */
function pitched(
  ink: Ink,
  quad: Line,
  colour: string,
  form: "ujingak" | "paljak" | "matbae",
  light: Light,
  scale: number,
  alpha: number,
): void {
  let [a, b, c, d] = corners(quad);
  if (away(a, b) < away(b, c)) [a, b, c, d] = [b, c, d, a];
  const long = away(a, b);
  const deep = away(b, c);
  const inset = form === "matbae" ? 0 : form === "paljak" ? 0.24 : Math.min(0.48, deep / 2 / long);
  const west = between(between(a, d, 0.5), between(b, c, 0.5), inset);
  const east = between(between(a, d, 0.5), between(b, c, 0.5), 1 - inset);
  const faces: [Corner[], Corner, Corner][] = [
    [[a, b, east, west], a, b],
    [[c, d, west, east], c, d],
    [[b, c, east], b, c],
    [[d, a, west], d, a],
  ];
  ink.globalAlpha = alpha;
  for (const [points, from, to] of faces) {
    if (points.length === 3 && inset === 0) continue;
    const normal = Math.atan2(to[0] - from[0], -(to[1] - from[1]));
    const lit = -(Math.cos(normal) * light.shadowNorth + Math.sin(normal) * light.shadowEast);
    const bright = Math.max(-0.22, Math.min(0.26, 0.05 + lit * 0.13));
    ink.beginPath();
    trace(ink, Float64Array.from(points.flat()));
    ink.fillStyle = shade(colour, bright);
    ink.fill();
    if (scale > 2.2) ribs(ink, points, from, to, colour, scale);
  }
  if (scale > 0.8) {
    const painted = quad.length === 8 ? quad : around(quad);
    stroke(ink, painted, NOEROK, Math.min(0.9, 1.6 / scale + 0.25), true);
    if (scale > 5) stroke(ink, shrink(painted, 0.985), "#e16350", 0.12, true);
  }
  ink.lineCap = "round";
  ink.strokeStyle = rgba(227, 221, 203, 0.92);
  ink.lineWidth = Math.max(0.42, 0.8 / scale);
  ink.beginPath();
  ink.moveTo(...west);
  ink.lineTo(...east);
  if (form === "ujingak") {
    for (const [from, to] of [
      [west, a],
      [west, d],
      [east, b],
      [east, c],
    ] as const) {
      ink.moveTo(...from);
      ink.lineTo(...between(from, to, 0.96));
    }
  }
  ink.stroke();
  if (form === "paljak") gables(ink, a, b, c, d, west, east, scale);
  for (const end of [west, east]) disc(ink, end[0], end[1], Math.max(0.5, 0.9 / scale), RIDGE);
  ink.globalAlpha = 1;
}

/** The upright triangles at both ends of a paljak roof, and the ridges that run down from them. */
function gables(
  ink: Ink,
  a: Corner,
  b: Corner,
  c: Corner,
  d: Corner,
  west: Corner,
  east: Corner,
  scale: number,
): void {
  for (const [ridge, one, two] of [
    [west, a, d],
    [east, b, c],
  ] as const) {
    const half = between(one, two, 0.5);
    const left = between(between(ridge, half, 0.45), one, 0.42);
    const right = between(between(ridge, half, 0.45), two, 0.42);
    ink.beginPath();
    ink.moveTo(...ridge);
    ink.lineTo(...left);
    ink.lineTo(...right);
    ink.closePath();
    ink.fillStyle = shade(SEOKGANJU, 0.05);
    ink.fill();
    ink.beginPath();
    for (const [side, corner] of [
      [left, one],
      [right, two],
    ] as const) {
      ink.moveTo(...ridge);
      ink.lineTo(...side);
      ink.lineTo(...between(side, corner, 0.94));
    }
    ink.strokeStyle = rgba(227, 221, 203, 0.9);
    ink.lineWidth = Math.max(0.36, 0.7 / scale);
    ink.stroke();
  }
}

/** Rows of tiles from the ridge down to the eaves. */
function ribs(ink: Ink, points: Corner[], from: Corner, to: Corner, colour: string, scale: number): void {
  const length = away(from, to);
  const step = scale > 7 ? 0.6 : 1.2;
  const top: readonly [Corner, Corner] =
    points.length === 4 ? [points[3], points[2]] : [points[2], points[2]];
  ink.beginPath();
  for (let at = step; at < length; at += step) {
    const t = at / length;
    const eave = between(from, to, t);
    // ribs run square to the eaves until they meet the hip
    const foot = points.length === 4 ? straight(from, to, t, top) : between(eave, top[0], 0);
    const head =
      points.length === 4
        ? foot
        : between(eave, between(top[0], eave, 0), Math.min(1, 2 * Math.min(t, 1 - t)));
    ink.moveTo(...eave);
    if (points.length === 4) ink.lineTo(...head);
    else {
      const half = between(from, to, 0.5);
      const reach = 2 * Math.min(t, 1 - t);
      ink.lineTo(eave[0] + (top[0][0] - half[0]) * reach, eave[1] + (top[0][1] - half[1]) * reach);
    }
  }
  ink.strokeStyle = shade(colour, -0.42);
  ink.globalAlpha = 0.4;
  ink.lineWidth = step * 0.3;
  ink.stroke();
  ink.globalAlpha = 1;
}

function straight(from: Corner, to: Corner, t: number, top: readonly [Corner, Corner]): Corner {
  const length = away(from, to);
  const along = (p: Corner): number =>
    ((p[0] - from[0]) * (to[0] - from[0]) + (p[1] - from[1]) * (to[1] - from[1])) / length ** 2;
  const [s, e] = [along(top[0]), along(top[1])];
  const reach = t < s ? t / Math.max(s, 1e-6) : t > e ? (1 - t) / Math.max(1 - e, 1e-6) : 1;
  const eave = between(from, to, t);
  const foot = between(from, to, s);
  const rise: Corner = [top[0][0] - foot[0], top[0][1] - foot[1]];
  return [eave[0] + rise[0] * reach, eave[1] + rise[1] * reach];
}

function flat(ink: Ink, line: Line, colour: string, scale: number, light: Light): void {
  fill(ink, line, shade(colour, 0.1));
  const inner = shrink(line, 0.955);
  fill(ink, inner, shade(colour, -0.06));
  if (scale > 0.6) {
    ink.save();
    ink.beginPath();
    trace(ink, inner);
    ink.clip();
    ink.translate(light.shadowEast, light.shadowNorth);
    stroke(ink, inner, rgba(30, 30, 44, 0.22), 2, true);
    ink.restore();
    stroke(ink, line, shade(colour, -0.3), Math.min(0.4, 1 / scale), true);
    fill(ink, shrink(line, 0.2), shade(colour, -0.14));
    fill(ink, shrink(line, 0.17), shade(colour, 0.06));
  }
}

function glass(ink: Ink, line: Line, colour: string, scale: number): void {
  fill(ink, line, shade(colour, 0.05));
  ink.save();
  ink.beginPath();
  trace(ink, line);
  ink.clip();
  let [west, south, east, north] = [1e9, 1e9, -1e9, -1e9];
  for (let i = 0; i < line.length; i += 2) {
    west = Math.min(west, line[i]);
    east = Math.max(east, line[i]);
    south = Math.min(south, line[i + 1]);
    north = Math.max(north, line[i + 1]);
  }
  const step = 4;
  if (scale > 0.5) {
    for (let e = west - (north - south); e < east; e += step * 3) {
      ink.beginPath();
      ink.moveTo(e, south);
      ink.lineTo(e + (north - south), north);
      ink.strokeStyle = rgba(255, 255, 255, 0.2);
      ink.lineWidth = step * 0.8;
      ink.stroke();
    }
    ink.strokeStyle = rgba(255, 255, 255, 0.3);
    ink.lineWidth = 0.25;
    ink.beginPath();
    for (let e = west; e < east; e += step) {
      ink.moveTo(e, south);
      ink.lineTo(e, north);
    }
    ink.stroke();
  }
  ink.restore();
  stroke(ink, line, shade(colour, -0.25), Math.min(0.6, 1 / scale), true);
}

function membrane(ink: Ink, line: Line, colour: string, scale: number): void {
  const quad = line.length === 8 ? line : around(line);
  let [a, b, c, d] = corners(quad);
  if (away(a, b) < away(b, c)) [a, b, c, d] = [b, c, d, a];
  fill(ink, line, shade(colour, 0.3));
  const count = Math.max(3, Math.round(away(a, b) / 6));
  for (let i = 0; i < count; i += 2) {
    const strip = [
      between(a, b, i / count),
      between(a, b, (i + 1) / count),
      between(d, c, (i + 1) / count),
      between(d, c, i / count),
    ];
    fill(ink, Float64Array.from(strip.flat()), shade(colour, 0.08));
  }
  stroke(ink, line, "#f4efe2", Math.min(0.8, 2 / scale), true);
}

function round(ink: Ink, line: Line, colour: string, light: Light): void {
  const [e, n] = middleOf(line);
  fill(ink, line, shade(colour, 0));
  for (const [size, by] of [
    [0.86, 0.16],
    [0.62, 0.3],
    [0.36, 0.46],
    [0.14, 0.7],
  ] as const) {
    const part = shrink(line, size);
    ink.save();
    ink.translate(-light.shadowEast * (1 - size), -light.shadowNorth * (1 - size));
    fill(ink, part, shade(colour, by));
    ink.restore();
  }
  disc(ink, e, n, 0.5, shade(colour, -0.3));
}
