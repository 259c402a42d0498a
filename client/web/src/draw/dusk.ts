/** The light of the hour over painted ground: its tint, lamps along the streets, lit windows. */

import type { Line, Place } from "../state/places";
import { windows } from "./blocks";
import { disc, type Ink, type Patch, rgba, softStroke, stroke } from "./brush";
import { type City, fromWater, guAt, inside } from "./city";
import { chance, HILLS, STREETS } from "./hints";
import { along } from "./trees";

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
    // a pixel more on each side: an edge covered in part would show as a seam between tiles
    const px = 1 / scale;
    ink.fillRect(box.west - px, box.south - px, box.east - box.west + 2 * px, box.north - box.south + 2 * px);
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
