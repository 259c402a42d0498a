/**
 * The still layers of the picture, kept as square tiles: painted once for a scale and a light, then only copied.
 *
 * Scales are rounded to half powers of two. A few milliseconds a frame go into missing tiles, the nearest first; until
 * one is there, whatever older or coarser tile covers the spot stands in for it.
 */

import { type Ink, inkOf, type Patch, sheet } from "./brush";
import type { Box } from "./city";
import type { Light } from "./light";

const TILE_PX = 512;
const TILES_MAX = 110;
const BUDGET_MS = 7;

interface Tile {
  readonly canvas: OffscreenCanvas;
  readonly light: number;
  readonly version: number;
  used: number;
}

export class Tiles {
  private readonly kept = new Map<string, Tile>();
  private frame = 0;
  /** Grows whenever what is painted changed. */
  version = 0;
  /** Paints one patch; the context is set to metres, north up. */
  constructor(private readonly paint: (ink: OffscreenCanvasRenderingContext2D, patch: Patch) => void) {}

  /** What is painted has changed: everything is painted anew, old tiles stand in meanwhile. */
  renew(): void {
    this.version += 1;
  }

  /** Covers the picture; returns whether every tile was of this scale and light. `x`, `y` map metres to device pixels. */
  draw(
    ink: Ink,
    view: Box,
    scale: number,
    light: Light,
    x: (east: number) => number,
    y: (north: number) => number,
  ): boolean {
    this.frame += 1;
    const step = Math.round(2 * Math.log2(scale));
    const side = TILE_PX / 2 ** (step / 2);
    const missing: [number, number, number][] = [];
    const west = Math.floor(view.west / side);
    const east = Math.floor(view.east / side);
    const south = Math.floor(view.south / side);
    const north = Math.floor(view.north / side);
    const midColumn = (west + east) / 2;
    const midRow = (south + north) / 2;
    for (let row = south; row <= north; row++) {
      for (let column = west; column <= east; column++) {
        const tile = this.kept.get(`${step}/${column}/${row}`);
        if (tile === undefined || tile.light !== light.key || tile.version !== this.version) {
          missing.push([Math.hypot(column - midColumn, row - midRow), column, row]);
        }
      }
    }
    missing.sort((a, b) => a[0] - b[0]);
    const begun = performance.now();
    let painted = 0;
    for (const [, column, row] of missing) {
      if (painted > 0 && performance.now() - begun > BUDGET_MS) break;
      this.make(step, side, column, row, light);
      painted += 1;
    }
    for (let row = south; row <= north; row++) {
      for (let column = west; column <= east; column++) {
        const left = Math.round(x(column * side));
        const right = Math.round(x((column + 1) * side));
        const top = Math.round(y((row + 1) * side));
        const bottom = Math.round(y(row * side));
        const tile = this.kept.get(`${step}/${column}/${row}`);
        if (tile !== undefined) {
          tile.used = this.frame;
          ink.drawImage(tile.canvas, left, top, right - left, bottom - top);
        } else {
          this.standIn(ink, step, column * side, row * side, side, left, top, right - left, bottom - top);
        }
      }
    }
    this.forget();
    return painted === missing.length;
  }

  private make(step: number, side: number, column: number, row: number, light: Light): void {
    const key = `${step}/${column}/${row}`;
    const canvas = this.kept.get(key)?.canvas ?? sheet(TILE_PX, TILE_PX);
    const ink = inkOf(canvas);
    const scale = TILE_PX / side;
    const box: Box = {
      west: column * side,
      south: row * side,
      east: (column + 1) * side,
      north: (row + 1) * side,
    };
    // the small numbers of a tile keep the precision of single-float rasterisers
    ink.setTransform(scale, 0, 0, -scale, -box.west * scale, TILE_PX + box.south * scale);
    ink.globalAlpha = 1;
    ink.globalCompositeOperation = "source-over";
    this.paint(ink, { box, scale, light });
    this.kept.set(key, { canvas, light: light.key, version: this.version, used: this.frame });
  }

  private standIn(
    ink: Ink,
    step: number,
    east: number,
    north: number,
    side: number,
    x: number,
    y: number,
    width: number,
    height: number,
  ): void {
    for (const other of [-1, -2, -3, -4, -5, -6, 1]) {
      const otherSide = TILE_PX / 2 ** ((step + other) / 2);
      const column = Math.floor((east + side / 2) / otherSide);
      const row = Math.floor((north + side / 2) / otherSide);
      const tile = this.kept.get(`${step + other}/${column}/${row}`);
      if (tile === undefined) continue;
      tile.used = this.frame;
      const px = TILE_PX / otherSide;
      const left = (east - column * otherSide) * px;
      const top = ((row + 1) * otherSide - north - side) * px;
      if (left < -1 || top < -1 || left + side * px > TILE_PX + 1 || top + side * px > TILE_PX + 1) continue;
      ink.drawImage(tile.canvas, left, top, side * px, side * px, x, y, width, height);
      return;
    }
    ink.fillStyle = "#dcd7c9";
    ink.fillRect(x, y, width, height);
  }

  private forget(): void {
    if (this.kept.size <= TILES_MAX) return;
    const oldest = [...this.kept].sort((a, b) => a[1].used - b[1].used);
    for (const [key, tile] of oldest.slice(0, this.kept.size - TILES_MAX)) {
      if (tile.used === this.frame) break;
      this.kept.delete(key);
    }
  }
}
