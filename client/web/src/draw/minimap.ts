/** The small map: the whole city, where one is, and what the picture shows of it. */

import { fill, inkOf, rgba, sheet, stroke } from "./brush";
import type { Camera } from "./camera";
import type { City } from "./city";

/** Seoul in metres from the root's corner, with a margin. */
const WEST = 14_200;
const EAST = 52_600;
const SOUTH = 16_200;
const NORTH = 47_800;

export class Minimap {
  private ground: OffscreenCanvas | null = null;
  private painted = "";

  constructor(private readonly canvas: HTMLCanvasElement) {}

  /** Metres under a point of the small map (CSS pixels of `canvas`). */
  at(x: number, y: number): { east: number; north: number } {
    const box = this.canvas.getBoundingClientRect();
    return {
      east: WEST + (x / box.width) * (EAST - WEST),
      north: NORTH - (y / box.height) * (NORTH - SOUTH),
    };
  }

  draw(
    city: City | null,
    camera: Camera,
    me: { east: number; north: number } | null,
    night: boolean,
    ratio: number,
  ): void {
    if (city === null) return;
    const width = Math.round(176 * ratio);
    const height = Math.round((width * (NORTH - SOUTH)) / (EAST - WEST));
    const key = `${width}${night}`;
    if (this.painted !== key) {
      this.painted = key;
      this.canvas.width = width;
      this.canvas.height = height;
      this.ground = paint(city, width, height, night);
    }
    const ink = this.canvas.getContext("2d");
    if (ink === null || this.ground === null) return;
    const scale = width / (EAST - WEST);
    ink.drawImage(this.ground, 0, 0);
    const w = (camera.width / camera.scale) * scale;
    const h = (camera.height / camera.scale) * scale;
    const x = (camera.east - WEST) * scale;
    const y = (NORTH - camera.north) * scale;
    ink.strokeStyle = night ? "#ffe6b8" : "#8a4c44";
    ink.lineWidth = 1.4 * ratio;
    if (w > 6 * ratio) ink.strokeRect(x - w / 2, y - h / 2, w, h);
    if (me === null) return;
    const e = (me.east - WEST) * scale;
    const n = (NORTH - me.north) * scale;
    ink.beginPath();
    ink.arc(e, n, 4 * ratio, 0, 2 * Math.PI);
    ink.fillStyle = "#b82647";
    ink.fill();
    ink.strokeStyle = "#fff";
    ink.stroke();
  }
}

function paint(city: City, width: number, height: number, night: boolean): OffscreenCanvas {
  const canvas = sheet(width, height);
  const ink = inkOf(canvas);
  const scale = width / (EAST - WEST);
  ink.fillStyle = night ? "#23274a" : "#e3decf";
  ink.fillRect(0, 0, width, height);
  ink.setTransform(scale, 0, 0, -scale, -WEST * scale, NORTH * scale);
  for (const gu of city.gu) {
    fill(ink, gu.outline, night ? "#373d6b" : "#f4eee1");
    stroke(ink, gu.outline, rgba(120, 92, 84, 0.4), 1 / scale, true);
  }
  fill(ink, city.river, night ? "#5f7fae" : "#9dc0c9");
  return canvas;
}
