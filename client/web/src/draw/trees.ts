/** Trees: one crown, the groves of hills, the rows along the great streets. */

import type { Line, Place } from "../state/places";
import { disc, type Ink, type Patch, rgba } from "./brush";
import { inside } from "./city";
import { chance, STREETS } from "./hints";

/** Trees of a hill where one is near enough to see them. */
export function grove(
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

/** Calls back along a line, `step` metres apart and `aside` metres to either side, within the box. */
export function along(
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
export function avenue(ink: Ink, { box }: Patch, places: readonly Place[]): void {
  for (const { line, width } of STREETS) {
    along(line, 17, width / 2 + 3, box, (e, n) => {
      if (places.some((place) => inside(place.outline, e, n))) return;
      const size = 2.4 + chance(Math.round(e), Math.round(n), 8);
      disc(ink, e + 0.9, n - 0.9, size, rgba(40, 38, 60, 0.14));
      tree(ink, e, n, size);
    });
  }
}
