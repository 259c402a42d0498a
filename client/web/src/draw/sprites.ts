/**
 * Figures painted once: a look in a posture, turned one of sixteen ways, in the size and light of the moment.
 *
 * Small sheets hold them in slots; each person then costs one `drawImage` of whole pixels. They belong to one size and
 * light; when either changes fresh ones are begun. New figures are painted before any is copied, for a few milliseconds a
 * frame, and only into the last sheet (a sheet written after it was read is copied); until then the nearest one there
 * of the same look stands in.
 */

import { disc, inkOf, sheet } from "./brush";
import { FIGURE_SIDE, POSTURES, type Posture, paintFigure } from "./figure";
import type { Light } from "./light";
import type { Look } from "./look";
import { CLOTH, EXTRAS, HAIRS, OUTFITS, SKINS, TONES } from "./look";

export const WAYS = 16;
const PAGE_PX = 512;
const PAGES_MAX = 40;
const PAINT_MS = 4;
const EMPTY_MS = 3000;
const NEW_A_FRAME = 64;

/** A look as a small whole number: the key of its figures. */
export function lookNumber(look: Look, program: boolean): number {
  const cloths = Object.keys(CLOTH);
  let number = OUTFITS.indexOf(look.outfit);
  number = number * 14 + cloths.indexOf(look.above);
  number = number * 14 + cloths.indexOf(look.below);
  number = number * 4 + HAIRS.indexOf(look.hair);
  number = number * 5 + Object.keys(TONES).indexOf(look.tone);
  number = number * 5 + Object.keys(SKINS).indexOf(look.skin);
  number = number * 5 + EXTRAS.indexOf(look.extra);
  return number * 2 + (program ? 1 : 0);
}

interface Wanted {
  readonly key: number;
  readonly look: Look;
  readonly posture: Posture;
  readonly way: number;
  readonly program: boolean;
}

export class Sprites {
  private pages: OffscreenCanvas[] = [];
  private slots = new Map<number, number>();
  private wanted: Wanted[] = [];
  private across = 1;
  private light = -1;
  private used = 0;
  private emptiedMs = 0;
  private full = false;
  /** Device pixels of a figure's side. */
  side = 0;

  /** Chooses the size (device pixels a body unit) and light for what follows. */
  begin(bodyPx: number, light: Light): void {
    const side = Math.max(6, Math.ceil(bodyPx * FIGURE_SIDE));
    if (side === this.side && light.key === this.light && !this.full) return;
    this.side = side;
    this.light = light.key;
    this.across = Math.max(2, Math.floor(PAGE_PX / side));
    this.empty();
  }

  /** The slot of a figure; of the same look in another posture or turn while it is not painted yet; or -1. */
  slot(number: number, look: Look, posture: Posture, way: number, program: boolean): number {
    const key = keyOf(number, POSTURES.indexOf(posture), way);
    const at = this.slots.get(key);
    if (at !== undefined && at >= 0) return at;
    if (at === undefined && this.wanted.length < NEW_A_FRAME) {
      this.wanted.push({ key, look, posture, way, program });
      this.slots.set(key, -1);
    }
    for (let turn = 0; turn < WAYS; turn++) {
      // the nearest turns first: 0, 1, -1, 2, -2, …
      const near = (way + (turn % 2 === 0 ? -turn / 2 : (turn + 1) / 2) + WAYS) % WAYS;
      const other = this.slots.get(keyOf(number, 0, near)) ?? -1;
      if (other >= 0) return other;
    }
    return -1;
  }

  /** Paints what was asked for since; call before the first `draw` of a frame. */
  paint(light: Light): void {
    const begun = performance.now();
    for (const one of this.wanted) {
      if (performance.now() - begun > PAINT_MS || !this.paintOne(one, light)) this.slots.delete(one.key);
    }
    this.wanted.length = 0;
  }

  draw(ink: CanvasRenderingContext2D, slot: number, x: number, y: number): void {
    const side = this.side;
    const inPage = slot % (this.across * this.across);
    const page = this.pages[(slot - inPage) / (this.across * this.across)];
    const left = (inPage % this.across) * side;
    const top = Math.floor(inPage / this.across) * side;
    ink.drawImage(
      page,
      left,
      top,
      side,
      side,
      Math.round(x - side / 2),
      Math.round(y - side / 2),
      side,
      side,
    );
  }

  /** Whether there was room. */
  private paintOne({ key, look, posture, way, program }: Wanted, light: Light): boolean {
    const inPage = this.used % (this.across * this.across);
    if (inPage === 0 && this.pages.length * this.across * this.across === this.used) {
      if (this.pages.length >= PAGES_MAX) {
        // all full: begin again, but not at every frame
        this.full = performance.now() - this.emptiedMs > EMPTY_MS;
        return false;
      }
      this.pages.push(sheet(this.across * this.side, this.across * this.side));
    }
    const x = (inPage % this.across) * this.side;
    const y = Math.floor(inPage / this.across) * this.side;
    const scale = this.side / FIGURE_SIDE;
    const ink = inkOf(this.pages[this.pages.length - 1]);
    ink.save();
    ink.beginPath();
    ink.rect(x, y, this.side, this.side);
    ink.clip();
    ink.translate(x + this.side / 2, y + this.side / 2);
    ink.scale(scale, scale);
    disc(ink, 0.12, 0.13, look.outfit === "hanbok" ? 0.62 : 0.5, "rgba(24,20,44,0.22)");
    ink.rotate((way / WAYS) * 2 * Math.PI);
    paintFigure(ink, look, posture, program, scale);
    ink.restore();
    const [r, g, b] = light.tint;
    if (r < 255 || g < 255 || b < 255) {
      // people stay a little brighter than the ground they walk on
      ink.globalCompositeOperation = "source-atop";
      const dark = 1 - (r + g + b) / 765;
      ink.fillStyle = `rgba(${Math.round(r * 0.42)},${Math.round(g * 0.42)},${Math.round(b * 0.5)},${0.42 * dark})`;
      ink.fillRect(x, y, this.side, this.side);
      ink.globalCompositeOperation = "source-over";
    }
    this.slots.set(key, this.used++);
    return true;
  }

  private empty(): void {
    this.full = false;
    this.emptiedMs = performance.now();
    this.pages = [];
    this.slots.clear();
    this.used = 0;
  }
}

function keyOf(number: number, posture: number, way: number): number {
  return (number * 16 + posture) * WAYS + way;
}
