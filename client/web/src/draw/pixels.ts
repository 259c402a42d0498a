/**
 * A picture as numbers: for crowds, where a call of the canvas for each figure costs more than its pixels do.
 *
 * The opaque ground is copied in, figures are laid over it pixel by pixel, and the whole goes to the canvas at once.
 * A pixel is one number of 32 bits, red in the lowest byte as `ImageData` has it; figures are premultiplied.
 */

/**
 * A figure's pixels, packed: of row y those from column `from[y]` to before `to[y]`, the first of them at `at[y]`.
 * Those from `solidFrom[y]` to before `solidTo[y]` hide what is below.
 */
export interface Cut {
  readonly side: number;
  readonly px: Uint32Array;
  readonly at: Int32Array;
  readonly from: Int16Array;
  readonly to: Int16Array;
  readonly solidFrom: Int16Array;
  readonly solidTo: Int16Array;
}

/** Pixels that lie still: `left`, `top` is where its corner lies in the picture. */
export interface Ground {
  readonly px: Uint32Array;
  readonly width: number;
  readonly height: number;
}

/** Takes a square figure out of what a canvas tells of it. */
export function cutOut(image: ImageData): Cut {
  const side = image.width;
  const all = new Uint32Array(image.data.buffer);
  const at = new Int32Array(side);
  const from = new Int16Array(side);
  const to = new Int16Array(side);
  const solidFrom = new Int16Array(side);
  const solidTo = new Int16Array(side);
  const packed = new Uint32Array(side * side);
  let used = 0;
  for (let y = 0; y < side; y++) {
    const row = all.subarray(y * side, (y + 1) * side);
    const first = row.findIndex((one) => one >>> 24 > 0);
    at[y] = used;
    if (first < 0) continue;
    from[y] = first;
    to[y] = row.findLastIndex((one) => one >>> 24 > 0) + 1;
    // the longest run that hides what is below
    solidFrom[y] = solidTo[y] = first;
    for (let x = first, begun = first; x < (to[y] as number); x++) {
      const value = row[x] as number;
      const alpha = value >>> 24;
      packed[used++] = alpha === 255 ? value : (weighed(value, alpha + 1) & 0xffffff) | (alpha << 24);
      if (alpha < 255) begun = x + 1;
      else if (x + 1 - begun > (solidTo[y] as number) - (solidFrom[y] as number)) {
        solidFrom[y] = begun;
        solidTo[y] = x + 1;
      }
    }
  }
  return { side, px: packed.slice(0, used), at, from, to, solidFrom, solidTo };
}

export class Pixels {
  width = 0;
  height = 0;
  private image: ImageData | null = null;
  private px = new Uint32Array(0);

  /** Begins a picture of this size with opaque ground under it, whose corner lies at `left`, `top` and which covers it. */
  begin(width: number, height: number, ground: Ground, left: number, top: number): void {
    if (this.image === null || width !== this.width || height !== this.height) {
      this.image = new ImageData(width, height);
      this.px = new Uint32Array(this.image.data.buffer);
      this.width = width;
      this.height = height;
    }
    for (let y = 0; y < height; y++) {
      const start = (y - top) * ground.width - left;
      this.px.set(ground.px.subarray(start, start + width), y * width);
    }
  }

  /** Lays a figure over it with its middle at a point; `fade` 1 is all of it, 0 nothing. */
  lay(cut: Cut, x: number, y: number, fade: number): void {
    lay(this.px, this.width, this.height, cut, x, y, fade);
  }

  /** Shows it, all at once. */
  show(ink: CanvasRenderingContext2D): void {
    if (this.image !== null) ink.putImageData(this.image, 0, 0);
  }
}

/** Lays a figure over opaque pixels, its middle at a point. */
export function lay(
  onto: Uint32Array,
  width: number,
  height: number,
  cut: Cut,
  x: number,
  y: number,
  fade = 1,
): void {
  const { side, px, at, from, to, solidFrom, solidTo } = cut;
  const left = Math.round(x - side / 2);
  const top = Math.round(y - side / 2);
  const last = Math.min(side, height - top);
  const weight = Math.round(fade * 256);
  const inside = left >= 0 && left + side <= width && weight === 256;
  for (let row = Math.max(0, -top); row < last; row++) {
    const start = from[row] as number;
    const line = (top + row) * width + left;
    const shift = (at[row] as number) - start;
    if (!inside) {
      const begin = Math.max(start, -left);
      const end = Math.min(to[row] as number, width - left);
      blend(onto, px, line, shift, begin, end, weight);
      continue;
    }
    const solid = solidFrom[row] as number;
    const after = solidTo[row] as number;
    blend(onto, px, line, shift, start, solid, 256);
    for (let column = solid; column < after; column++) onto[line + column] = px[shift + column] as number;
    blend(onto, px, line, shift, after, to[row] as number, 256);
  }
}

/** Lays a part of a row over another: columns `begin` to before `end`. */
function blend(
  onto: Uint32Array,
  px: Uint32Array,
  line: number,
  shift: number,
  begin: number,
  end: number,
  weight: number,
): void {
  for (let column = begin; column < end; column++) {
    let value = px[shift + column] as number;
    if (weight !== 256) value = weighed(value, weight);
    const alpha = value >>> 24;
    if (alpha === 0) continue;
    const below = alpha === 255 ? 0 : weighed(onto[line + column] as number, 256 - alpha);
    onto[line + column] = (value + below) | 0xff000000;
  }
}

/** All four parts of a pixel times `weight` / 256. */
function weighed(value: number, weight: number): number {
  const odd = (Math.imul(value & 0x00ff00ff, weight) >>> 8) & 0x00ff00ff;
  const even = Math.imul((value >>> 8) & 0x00ff00ff, weight) & 0xff00ff00;
  return odd | even;
}
