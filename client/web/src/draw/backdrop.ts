/**
 * The ground under one picture, composed once and then only moved: tiles are scaled to the picture's scale on a sheet
 * a little larger than it, and each frame copies whole pixels from there. It is composed again when the scale, the light
 * or what is painted changes, and when the eye comes to the sheet's edge. While zooming, when every frame would need
 * another sheet, the tiles are drawn directly.
 */

import { sheet } from "./brush";
import type { Box } from "./city";
import type { Light } from "./light";
import type { Tiles } from "./tiles";

/** Pixels beyond the picture on every side. */
const MARGIN_PX = 160;

/** Where the picture is: its middle in metres, device pixels a metre, its size in device pixels. */
export interface Frame {
  readonly east: number;
  readonly north: number;
  readonly scale: number;
  readonly width: number;
  readonly height: number;
}

export class Backdrop {
  private canvas: OffscreenCanvas | null = null;
  private made: Frame | null = null;
  private light = -1;
  private version = -1;
  private whole = false;
  private scale = 0;

  constructor(private readonly tiles: Tiles) {}

  /** Draws the ground; returns whether nothing of another scale or hour stood in. */
  draw(ink: CanvasRenderingContext2D, frame: Frame, light: Light): boolean {
    const zooming = frame.scale !== this.scale;
    this.scale = frame.scale;
    if (zooming) {
      this.made = null;
      return cover(this.tiles, ink, frame, light);
    }
    if (!this.fits(frame) || !this.whole || light.key !== this.light || this.version !== this.tiles.version)
      this.compose(frame, light);
    if (this.canvas === null || this.made === null) return false;
    const left = (this.made.east - frame.east) * frame.scale + (frame.width - this.canvas.width) / 2;
    const top = (frame.north - this.made.north) * frame.scale + (frame.height - this.canvas.height) / 2;
    ink.drawImage(this.canvas, Math.round(left), Math.round(top));
    return this.whole;
  }

  private fits(frame: Frame): boolean {
    const { made } = this;
    return (
      made !== null &&
      made.scale === frame.scale &&
      made.width === frame.width &&
      made.height === frame.height &&
      Math.abs(made.east - frame.east) * frame.scale < MARGIN_PX - 1 &&
      Math.abs(made.north - frame.north) * frame.scale < MARGIN_PX - 1
    );
  }

  private compose(frame: Frame, light: Light): void {
    const width = frame.width + 2 * MARGIN_PX;
    const height = frame.height + 2 * MARGIN_PX;
    if (this.canvas === null || this.canvas.width !== width || this.canvas.height !== height)
      this.canvas = sheet(width, height);
    const ink = this.canvas.getContext("2d", { alpha: false });
    if (ink === null) throw new Error("this browser gives no canvas");
    this.whole = cover(this.tiles, ink, { ...frame, width, height }, light);
    this.made = frame;
    this.light = light.key;
    this.version = this.tiles.version;
  }
}

function cover(
  tiles: Tiles,
  ink: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
  { east, north, scale, width, height }: Frame,
  light: Light,
): boolean {
  const view: Box = {
    west: east - width / 2 / scale,
    east: east + width / 2 / scale,
    south: north - height / 2 / scale,
    north: north + height / 2 / scale,
  };
  return tiles.draw(
    ink,
    view,
    scale,
    light,
    (e) => (e - east) * scale + width / 2,
    (n) => height / 2 - (n - north) * scale,
  );
}
