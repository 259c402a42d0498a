/** Small strokes all painters share. Contexts here are set so that a unit is a metre and north is up. */

import type { Line } from "../state/places";
import type { Box } from "./city";
import type { Light } from "./light";

export type Ink = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** A piece of ground to paint: its box in metres, device pixels a metre, and the light on it. */
export interface Patch {
  readonly box: Box;
  readonly scale: number;
  readonly light: Light;
}

export function sheet(width: number, height: number): OffscreenCanvas {
  return new OffscreenCanvas(Math.max(1, Math.ceil(width)), Math.max(1, Math.ceil(height)));
}

/** What draws on a sheet; `read`, told at the first time, if its pixels will also be asked for. */
export function inkOf(canvas: OffscreenCanvas, read = false): OffscreenCanvasRenderingContext2D {
  const ink = canvas.getContext("2d", { willReadFrequently: read });
  if (ink === null) throw new Error("this browser gives no canvas");
  return ink;
}

export function trace(ink: Ink, line: Line, closed = true): void {
  ink.moveTo(line[0], line[1]);
  for (let i = 2; i + 1 < line.length; i += 2) ink.lineTo(line[i], line[i + 1]);
  if (closed) ink.closePath();
}

export function fill(ink: Ink, line: Line, colour: string): void {
  ink.beginPath();
  trace(ink, line);
  ink.fillStyle = colour;
  ink.fill();
}

export function stroke(ink: Ink, line: Line, colour: string, width: number, closed = false): void {
  ink.beginPath();
  trace(ink, line, closed);
  ink.strokeStyle = colour;
  ink.lineWidth = width;
  ink.stroke();
}

/** A stroke through the middles of the line's pieces, so that no corner is sharp. */
export function softStroke(ink: Ink, line: Line, colour: string, width: number): void {
  const n = line.length;
  ink.beginPath();
  ink.moveTo(line[0], line[1]);
  for (let i = 2; i + 3 < n; i += 2) {
    ink.quadraticCurveTo(line[i], line[i + 1], (line[i] + line[i + 2]) / 2, (line[i + 1] + line[i + 3]) / 2);
  }
  ink.lineTo(line[n - 2], line[n - 1]);
  ink.strokeStyle = colour;
  ink.lineWidth = width;
  ink.stroke();
}

export function disc(
  ink: Ink,
  east: number,
  north: number,
  radius: number,
  colour: string | CanvasGradient,
): void {
  ink.beginPath();
  ink.arc(east, north, radius, 0, 2 * Math.PI);
  ink.fillStyle = colour;
  ink.fill();
}

/** `#rrggbb` made lighter (`by` > 0, towards white) or darker (< 0, towards ink). */
export function shade(colour: string, by: number): string {
  const value = Number.parseInt(colour.slice(1, 7), 16);
  const to = by > 0 ? [255, 250, 240] : [24, 24, 34];
  const t = Math.abs(by);
  const part = (shift: number, i: number): number => {
    const from = (value >> shift) & 255;
    return Math.round(from + (to[i] - from) * t);
  };
  return `rgb(${part(16, 0)},${part(8, 1)},${part(0, 2)})`;
}

export function isColour(text: string): boolean {
  return /^#[0-9a-fA-F]{6}$/.test(text);
}

export function rgba(r: number, g: number, b: number, a: number): string {
  return `rgba(${r},${g},${b},${a})`;
}
