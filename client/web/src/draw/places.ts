/** Declared places, painted into tiles: their floor, water, paths, trees, walls with gates, buildings, things to use. */

import type { Feature, Line, Place, Wall } from "../state/places";
import { disc, fill, type Ink, isColour, type Patch, rgba, shade, softStroke, stroke, trace } from "./brush";
import { boxOf, grown, inside, meets } from "./city";
import { lamp } from "./dusk";
import { chance } from "./hints";
import { middleOf, paintBuilding, paintShadow } from "./roofs";
import { tree } from "./trees";

const WATER = "#8fb9c0";
const COPING = "#74767a";
const STONE = "#c3b79f";

interface Floor {
  readonly colour: string;
  readonly paving: "slabs" | "sand" | "grass" | "wood" | "street";
}

const FLOORS: readonly (readonly [RegExp, Floor])[] = [
  [/palace|shrine|gate|heritage/, { colour: "#e8dfcd", paving: "sand" }],
  [/plaza|square/, { colour: "#d8d3c9", paving: "slabs" }],
  [/park|lawn|hill|tower/, { colour: "#c3cfa4", paving: "grass" }],
  [/stream|river/, { colour: "#d3d2bd", paving: "street" }],
  [/market|street/, { colour: "#ded4c1", paving: "street" }],
];
const PLAIN: Floor = { colour: "#ddd6c6", paving: "slabs" };

function floorOf(place: Place): Floor {
  if (place.ground !== "city") return { colour: "#d9bd92", paving: "wood" };
  return FLOORS.find(([kind]) => kind.test(place.kind))?.[1] ?? PLAIN;
}

export function paintPlaces(ink: Ink, patch: Patch, places: readonly Place[]): void {
  const { box, scale } = patch;
  const near = places.filter((place) => meets(grown(boxOf(place.outline), 120), box));
  // larger grounds lie below the smaller ones that stand in them
  near.sort((a, b) => extent(b.outline) - extent(a.outline));
  for (const place of near) floor(ink, place, patch);
  if (scale < 0.12) return;
  for (const place of near) {
    for (const water of place.water) pond(ink, water, scale);
    if (/stream/.test(place.kind) && scale > 0.6) willows(ink, place.outline, box);
    for (const item of place.decorations) if (!/tree/.test(item.kind)) decoration(ink, item, patch);
  }
  ink.beginPath();
  const shadows = rgba(38, 34, 66, patch.light.shadow);
  for (const place of near) {
    for (const building of place.buildings) {
      paintShadow(ink, building, patch.light);
      ink.fillStyle = shadows;
      ink.fill("nonzero");
    }
  }
  for (const place of near) {
    for (const item of place.decorations) if (/tree/.test(item.kind)) decoration(ink, item, patch);
    for (const wall of place.walls) paintWall(ink, wall, patch);
    const low = [...place.buildings].sort((a, b) => a.heightM - b.heightM);
    for (const building of low) paintBuilding(ink, building, patch.light, scale);
    for (const item of place.features) feature(ink, item, scale);
    for (const portal of place.portals)
      doorway(ink, portal.east, portal.north, Math.max(portal.radiusM, 1.2), scale);
    if (place.board !== null && scale > 0.8) board(ink, place.board.east, place.board.north);
  }
}

function extent(line: Line): number {
  const box = boxOf(line);
  return (box.east - box.west) * (box.north - box.south);
}

function floor(ink: Ink, place: Place, { box, scale }: Patch): void {
  const { colour, paving } = floorOf(place);
  fill(ink, place.outline, colour);
  stroke(ink, place.outline, shade(colour, -0.16), Math.max(0.3, 1 / scale), true);
  if (scale < 1.4) return;
  ink.save();
  ink.beginPath();
  trace(ink, place.outline);
  ink.clip();
  const own = boxOf(place.outline);
  const west = Math.max(own.west, box.west);
  const east = Math.min(own.east, box.east);
  const south = Math.max(own.south, box.south);
  const north = Math.min(own.north, box.north);
  const line = rgba(90, 74, 54, paving === "wood" ? 0.2 : 0.09);
  const step = paving === "wood" ? 1.2 : scale > 5 ? 2 : 6;
  if (paving === "slabs" || paving === "street" || paving === "wood") {
    ink.beginPath();
    for (let n = Math.floor(south / step) * step; n < north; n += step) {
      ink.moveTo(west, n);
      ink.lineTo(east, n);
      const row = Math.round(n / step);
      const wide = paving === "wood" ? 6 : step * 1.5;
      const shift = (row % 2) * wide * 0.5;
      for (let e = Math.floor(west / wide) * wide + shift; e < east; e += wide) {
        ink.moveTo(e, n);
        ink.lineTo(e, n + step);
      }
    }
    ink.strokeStyle = line;
    ink.lineWidth = Math.min(0.12, 1 / scale);
    ink.stroke();
  } else {
    const grain = scale > 5 ? 3 : 8;
    for (let i = Math.floor(west / grain); i <= east / grain; i++) {
      for (let j = Math.floor(south / grain); j <= north / grain; j++) {
        if (chance(i, j, 61) > 0.4) continue;
        const e = (i + chance(i, j, 62)) * grain;
        const n = (j + chance(i, j, 63)) * grain;
        if (paving === "grass")
          stroke(ink, Float64Array.of(e, n, e + 0.4, n + 0.9), rgba(96, 128, 70, 0.3), 0.18);
        else disc(ink, e, n, 0.1 + 0.22 * chance(i, j, 64), rgba(150, 128, 92, 0.08));
      }
    }
  }
  ink.restore();
}

function pond(ink: Ink, water: Line, scale: number): void {
  stroke(ink, water, "#b3a98f", Math.max(1.6, 2 / scale), true);
  fill(ink, water, WATER);
  if (scale < 1) return;
  ink.save();
  ink.beginPath();
  trace(ink, water);
  ink.clip();
  stroke(ink, water, rgba(40, 78, 88, 0.25), 2.4, true);
  const box = boxOf(water);
  for (let i = Math.floor(box.west / 7); i <= box.east / 7; i++) {
    for (let j = Math.floor(box.south / 3); j <= box.north / 3; j++) {
      if (chance(i, j, 71) > 0.4) continue;
      const e = (i + chance(i, j, 72)) * 7;
      const n = (j + chance(i, j, 73)) * 3;
      softStroke(ink, Float64Array.of(e, n, e + 1.6, n + 0.3, e + 3.2, n), rgba(255, 255, 255, 0.3), 0.22);
    }
  }
  ink.restore();
}

function decoration(ink: Ink, item: Feature, { scale, box }: Patch): void {
  const colour = isColour(item.colour) ? item.colour : "#cfc6b4";
  if (/tree/.test(item.kind)) {
    const radius = Math.max(1.6, item.widthM / 2);
    for (let i = 0; i < item.line.length; i += 2) {
      const [e, n] = [item.line[i], item.line[i + 1]];
      if (e < box.west - 9 || e > box.east + 9 || n < box.south - 9 || n > box.north + 9) continue;
      const size = radius * (0.8 + 0.4 * chance(Math.round(e), Math.round(n), 4));
      disc(ink, e + 0.8, n - 0.8, size, rgba(40, 38, 60, 0.2));
      tree(ink, e, n, size);
    }
  } else if (/stall/.test(item.kind)) {
    for (let i = 0; i + 1 < item.line.length; i += 2) stall(ink, item.line[i], item.line[i + 1], colour);
  } else if (
    /lawn|grass|bed|garden|terrace|plinth|floor|carpet|stage|woldae/.test(item.kind) &&
    item.line.length >= 6
  ) {
    fill(ink, item.line, /lawn|grass/.test(item.kind) ? shade(colour, 0.34) : colour);
    stroke(ink, item.line, shade(colour, -0.12), Math.max(0.25, 1 / scale), true);
  } else if (/statue|stone|fountain|sculpture|pillar|lamp/.test(item.kind)) {
    const [e, n] = middleOf(item.line);
    const radius = Math.max(0.8, item.widthM / 2);
    disc(ink, e + radius * 0.5, n - radius * 0.5, radius, rgba(40, 38, 60, 0.22));
    disc(ink, e, n, radius, shade(colour, 0.35));
    disc(ink, e, n, radius * 0.62, colour);
    disc(ink, e - radius * 0.15, n + radius * 0.2, radius * 0.26, shade(colour, 0.4));
  } else if (item.line.length >= 4) {
    const width = Math.max(item.widthM || 2, 1 / scale);
    if (/road/.test(item.kind)) {
      softStroke(ink, item.line, "#cfc8b8", width + 1);
      softStroke(ink, item.line, shade(colour, 0.42), width);
      if (scale > 0.8) {
        ink.setLineDash([4, 6]);
        softStroke(ink, item.line, rgba(255, 252, 240, 0.7), 0.3);
        ink.setLineDash([]);
        softStroke(ink, item.line, rgba(255, 252, 240, 0.14), width * 0.5);
      }
      return;
    }
    softStroke(ink, item.line, shade(colour, -0.12), width + 0.5);
    softStroke(ink, item.line, colour, width);
  } else {
    const [e, n] = middleOf(item.line);
    disc(ink, e, n, Math.max(0.6, item.widthM / 2), colour);
  }
}

/** A market stall under a striped awning. */
function stall(ink: Ink, e: number, n: number, colour: string): void {
  const turn = chance(Math.round(e), Math.round(n), 6) * 0.5 - 0.25;
  ink.save();
  ink.translate(e, n);
  ink.rotate(turn);
  ink.fillStyle = rgba(40, 38, 60, 0.22);
  ink.fillRect(-1.1, -1.3, 2.9, 2.2);
  for (let k = 0; k < 6; k++) {
    ink.fillStyle = k % 2 === 0 ? colour : "#f6efe0";
    ink.fillRect(-1.4 + k * 0.467, -0.95, 0.467, 2);
  }
  ink.restore();
}

/** Trees along the edge of a stream's ground. */
function willows(ink: Ink, outline: Line, box: Patch["box"]): void {
  for (let i = 0; i < outline.length; i += 2) {
    const j = (i + 2) % outline.length;
    const length = Math.hypot(outline[j] - outline[i], outline[j + 1] - outline[i + 1]);
    for (let at = 5; at < length; at += 11) {
      const e = outline[i] + ((outline[j] - outline[i]) * at) / length;
      const n = outline[i + 1] + ((outline[j + 1] - outline[i + 1]) * at) / length;
      if (e < box.west - 6 || e > box.east + 6 || n < box.south - 6 || n > box.north + 6) continue;
      const size = 1.9 + 1.3 * chance(Math.round(e), Math.round(n), 3);
      disc(ink, e + 0.7, n - 0.7, size, rgba(40, 38, 60, 0.16));
      tree(ink, e, n, size);
    }
  }
}

/** A wall of stone under a coping of dark tiles, with the shadow it throws. */
export function paintWall(ink: Ink, { line: wall, colour, heightM }: Wall, { light, scale }: Patch): void {
  const throwM = Math.min(4, heightM * 0.6);
  ink.lineCap = "butt";
  ink.save();
  ink.translate(light.shadowEast * throwM, light.shadowNorth * throwM);
  stroke(ink, wall, rgba(38, 34, 66, light.shadow), Math.max(1, 1.6 / scale));
  ink.restore();
  stroke(ink, wall, isColour(colour) ? colour : STONE, Math.max(1.7, 2.4 / scale));
  stroke(ink, wall, COPING, Math.max(0.9, 1.1 / scale));
  if (scale > 3) {
    ink.setLineDash([0.16, 0.5]);
    stroke(ink, wall, rgba(210, 206, 194, 0.5), 0.6);
    ink.setLineDash([]);
  }
  ink.lineCap = "round";
}

function feature(ink: Ink, item: Feature, scale: number): void {
  if (scale < 0.6) return;
  if (/lantern/.test(item.kind)) {
    stroke(ink, item.line, rgba(92, 74, 58, 0.5), Math.max(0.12, 0.8 / scale));
    return;
  }
  const [e, n] = middleOf(item.line);
  if (/bell/.test(item.kind)) {
    disc(ink, e + 0.4, n - 0.4, 1.5, rgba(30, 28, 40, 0.3));
    disc(ink, e, n, 1.4, "#6d6246");
    disc(ink, e, n, 1.05, "#8c7d55");
    disc(ink, e - 0.2, n + 0.25, 0.5, "#b3a273");
  } else if (/drum/.test(item.kind)) {
    for (let i = 0; i < item.line.length; i += 2) {
      const [de, dn] = [item.line[i], item.line[i + 1]];
      disc(ink, de + 0.15, dn - 0.15, 0.62, rgba(30, 28, 40, 0.3));
      disc(ink, de, dn, 0.6, "#a33a2c");
      disc(ink, de, dn, 0.46, "#e9dcc0");
      disc(ink, de, dn, 0.14, "#2d5aa8");
    }
  }
}

function doorway(ink: Ink, e: number, n: number, radius: number, scale: number): void {
  if (scale < 0.6) return;
  disc(ink, e, n, radius, rgba(57, 118, 100, 0.28));
  ink.beginPath();
  ink.arc(e, n, radius * 0.8, 0, 2 * Math.PI);
  ink.strokeStyle = rgba(57, 118, 100, 0.9);
  ink.lineWidth = Math.max(0.16, 1.2 / scale);
  ink.stroke();
}

function board(ink: Ink, e: number, n: number): void {
  ink.fillStyle = rgba(30, 28, 40, 0.28);
  ink.fillRect(e - 1.1, n - 0.65, 2.6, 0.7);
  ink.fillStyle = "#6d4a34";
  ink.fillRect(e - 1.3, n - 0.4, 2.6, 0.7);
  ink.fillStyle = "#efe6d0";
  ink.fillRect(e - 1.1, n - 0.28, 2.2, 0.42);
}

/** Windows, gates and lamps of places at night. */
export function lightPlaces(ink: Ink, patch: Patch, places: readonly Place[]): void {
  const { box, scale, light } = patch;
  if (light.glow <= 0.05 || scale < 0.1) return;
  ink.globalCompositeOperation = "lighter";
  for (const place of places) {
    if (!meets(grown(boxOf(place.outline), 40), box)) continue;
    for (const building of place.buildings) {
      const line = building.outline;
      const glow = light.glow * 0.3;
      stroke(ink, line, rgba(255, 160, 74, glow * 0.6), Math.max(3, 3 / scale), true);
      stroke(ink, line, rgba(255, 200, 120, glow), Math.max(0.3, 0.8 / scale), true);
    }
    if (scale > 0.5) {
      for (const water of place.water) stroke(ink, water, rgba(120, 190, 220, 0.16 * light.glow), 1.6, true);
      const own = boxOf(place.outline);
      const share = extent(place.outline) > 30_000 ? 0.16 : 0.5;
      const step = 22;
      for (let i = Math.floor(own.west / step); i <= own.east / step; i++) {
        for (let j = Math.floor(own.south / step); j <= own.north / step; j++) {
          const e = (i + 0.2 + 0.6 * chance(i, j, 81)) * step;
          const n = (j + 0.2 + 0.6 * chance(i, j, 82)) * step;
          if (e < box.west - 14 || e > box.east + 14 || n < box.south - 14 || n > box.north + 14) continue;
          if (chance(i, j, 83) > share || !inside(place.outline, e, n)) continue;
          lamp(ink, e, n, 12, 0.42 * light.glow);
          disc(ink, e, n, 0.28, rgba(255, 226, 170, 0.9 * light.glow));
        }
      }
    }
  }
  ink.globalCompositeOperation = "source-over";
}
