/**
 * The ground under one picture, composed once and then only moved: tiles are scaled to the picture's scale on a sheet
 * a little larger than it, and each frame copies whole pixels from there. It is composed again when the scale, the light
 * or what is painted changes, and when the eye comes to the sheet's edge. While zooming, when every frame would need
 * another sheet, the tiles are drawn directly. Whoever lays a crowd over the ground asks for its pixels instead.
 */

import { inkOf, sheet } from "./brush";
import type { Box } from "./city";
import type { Light } from "./light";
import type { Ground } from "./pixels";
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

/** Ground that lies still, and the picture in whose middle it was composed. */
export interface Still extends Ground {
  readonly frame: Frame;
  /** Another one for each. */
  readonly id: number;
}

export class Backdrop {
  private canvas: OffscreenCanvas | null = null;
  private made: Frame | null = null;
  private light = -1;
  private version = -1;
  private scale = 0;
  private taken: Still | null = null;
  private stills = 0;
  /** Whether in the last picture nothing of another scale or hour stood in. */
  whole = false;

  constructor(private readonly tiles: Tiles) {}

  /** Draws the ground. */
  draw(ink: CanvasRenderingContext2D, frame: Frame, light: Light): void {
    const zooming = frame.scale !== this.scale;
    this.scale = frame.scale;
    if (zooming) {
      this.made = null;
      this.whole = cover(this.tiles, ink, frame, light);
      return;
    }
    if (!this.holds(frame, light)) this.compose(frame, light);
    if (this.canvas === null || this.made === null) return;
    const { left, top } = corner(this.made, frame);
    ink.drawImage(this.canvas, left, top);
  }

  /** The ground as pixels, the same object until it is composed again. */
  still(frame: Frame, light: Light): Still {
    if (this.taken === null || !this.holds(frame, light)) {
      if (this.taken === null) this.canvas = null; // another one, that can be read
      const canvas = this.compose(frame, light, true);
      const image = inkOf(canvas).getImageData(0, 0, canvas.width, canvas.height);
      this.taken = {
        px: new Uint32Array(image.data.buffer),
        width: image.width,
        height: image.height,
        frame,
        id: ++this.stills,
      };
    }
    this.scale = frame.scale;
    return this.taken;
  }

  private holds(frame: Frame, light: Light): boolean {
    return this.fits(frame) && this.whole && light.key === this.light && this.version === this.tiles.version;
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

  private compose(frame: Frame, light: Light, read = false): OffscreenCanvas {
    const width = frame.width + 2 * MARGIN_PX;
    const height = frame.height + 2 * MARGIN_PX;
    if (this.canvas === null || this.canvas.width !== width || this.canvas.height !== height)
      this.canvas = sheet(width, height);
    const ink = this.canvas.getContext("2d", { alpha: false, willReadFrequently: read });
    if (ink === null) throw new Error("this browser gives no canvas");
    if (!read) this.taken = null;
    this.whole = cover(this.tiles, ink, { ...frame, width, height }, light);
    this.made = frame;
    this.light = light.key;
    this.version = this.tiles.version;
    return this.canvas;
  }
}

/** Where the corner of ground composed for `made` lies in the picture of `frame`. */
export function corner(made: Frame, frame: Frame): { readonly left: number; readonly top: number } {
  return {
    left: Math.round((made.east - frame.east) * frame.scale - MARGIN_PX),
    top: Math.round((frame.north - made.north) * frame.scale - MARGIN_PX),
  };
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
