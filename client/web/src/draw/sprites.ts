/**
 * Figures painted once: a look in a posture, turned one of sixteen ways, in the size and light of the moment.
 *
 * One sheet holds them in slots; each person then costs one `drawImage` of whole pixels. A sheet belongs to one size and
 * light; when either changes a fresh one is begun. New figures are painted before any is copied, a bounded number a
 * frame, so that the sheet is not written and read in turn; until then a person looks like the nearest one there.
 */

import { inkOf, sheet } from "./brush";
import { FIGURE_SIDE, POSTURES, type Posture, paintFigure } from "./figure";
import type { Light } from "./light";
import type { Look } from "./look";
import { CLOTH, EXTRAS, HAIRS, OUTFITS, SKINS, TONES } from "./look";

export const WAYS = 16;
const SHEET_SMALL = 1024;
const SHEET_LARGE = 2048;
const NEW_A_FRAME = 80;

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

export class Sprites {
  private canvas = sheet(1, 1);
  private slots = new Map<number, number>();
  private wanted: { key: number; look: Look; posture: Posture; way: number; program: boolean }[] = [];
  private across = 1;
  private light = -1;
  private used = 0;
  /** Device pixels of a slot's side. */
  side = 0;

  /** Chooses the size (device pixels a body unit) and light for what follows. */
  begin(bodyPx: number, light: Light): void {
    const side = Math.max(6, Math.ceil(bodyPx * FIGURE_SIDE));
    if (side === this.side && light.key === this.light) return;
    this.side = side;
    this.light = light.key;
    this.across = Math.max(1, Math.floor((side > 40 ? SHEET_LARGE : SHEET_SMALL) / side));
    this.empty();
  }

  /** The slot of a figure, or -1 if it is not painted yet (it will be). */
  slot(number: number, look: Look, posture: Posture, way: number, program: boolean): number {
    const key = (number * 16 + POSTURES.indexOf(posture)) * WAYS + way;
    const at = this.slots.get(key);
    if (at !== undefined) return at;
    if (this.wanted.length < NEW_A_FRAME) {
      this.wanted.push({ key, look, posture, way, program });
      this.slots.set(key, -1);
    }
    return -1;
  }

  /** Paints what was asked for since; call before the first `draw` of a frame. */
  paint(light: Light): void {
    if (this.wanted.length === 0) return;
    const ink = inkOf(this.canvas);
    const [r, g, b] = light.tint;
    const dark = r < 255 || g < 255 || b < 255;
    for (const { key, look, posture, way, program } of this.wanted) {
      if (this.used === this.across * this.across) {
        // the sheet is full: begin it again
        this.empty();
        break;
      }
      const at = this.used++;
      const x = (at % this.across) * this.side;
      const y = Math.floor(at / this.across) * this.side;
      const scale = this.side / FIGURE_SIDE;
      ink.save();
      ink.beginPath();
      ink.rect(x, y, this.side, this.side);
      ink.clip();
      ink.translate(x + this.side / 2, y + this.side / 2);
      ink.rotate((way / WAYS) * 2 * Math.PI);
      ink.scale(scale, scale);
      paintFigure(ink, look, posture, program, scale);
      ink.restore();
      if (dark) {
        ink.globalCompositeOperation = "source-atop";
        // people stay a little brighter than the ground they walk on
        ink.fillStyle = `rgba(${Math.round(r * 0.42)},${Math.round(g * 0.42)},${Math.round(b * 0.5)},${0.46 * (1 - (r + g + b) / 765) * 1.6})`;
        ink.fillRect(x, y, this.side, this.side);
        ink.globalCompositeOperation = "source-over";
      }
      this.slots.set(key, at);
    }
    this.wanted.length = 0;
  }

  private empty(): void {
    this.canvas = sheet(this.across * this.side, this.across * this.side);
    this.slots.clear();
    this.used = 0;
  }

  draw(ink: CanvasRenderingContext2D, slot: number, x: number, y: number): void {
    const side = this.side;
    const left = (slot % this.across) * side;
    const top = Math.floor(slot / this.across) * side;
    ink.drawImage(
      this.canvas,
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
}
