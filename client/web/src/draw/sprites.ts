/**
 * Figures painted once: a look in a posture, turned one of sixteen ways, in the size and light of the moment.
 *
 * Sheets hold them; each person then costs one copy of whole pixels. They belong to one size and light: when either
 * changes fresh ones are begun, a few milliseconds a frame, and until one is painted the nearest stands in for it: the
 * same look in another turn, or as it was in the size and light before. A sheet is only written before it is read: a
 * canvas that is written after that is copied by the browser.
 */

import { disc, inkOf, sheet } from "./brush";
import { FIGURE_SIDE, POSTURES, type Posture, paintFigure } from "./figure";
import type { Light } from "./light";
import type { Look } from "./look";
import { CLOTH, EXTRAS, HAIRS, OUTFITS, SKINS, TONES } from "./look";
import { type Cut, cutOut } from "./pixels";

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

/** A painted figure: a square of a sheet. */
export interface Figure {
  readonly page: OffscreenCanvas;
  readonly left: number;
  readonly top: number;
  readonly side: number;
  /** Its pixels, taken out of the sheet when they are first needed. */
  cut: Cut | null;
}

/** All figures of one look, by posture · WAYS + way; null while one is being waited for. */
export interface Wardrobe {
  readonly look: Look;
  readonly program: boolean;
  readonly figures: (Figure | null | undefined)[];
  /** The same look in the size and light before. */
  before: Wardrobe | null;
}

interface Wanted {
  readonly wardrobe: Wardrobe;
  readonly posture: number;
  readonly way: number;
}

export class Sprites {
  private pages: OffscreenCanvas[] = [];
  private wardrobes = new Map<number, Wardrobe>();
  private before = new Map<number, Wardrobe>();
  private wanted: Wanted[] = [];
  private across = 1;
  private light = -1;
  private used = 0;
  private emptiedMs = 0;
  private full = false;
  /** Device pixels of a figure's side. */
  private side = 0;
  /** Grows whenever all wardrobes are begun anew. */
  generation = 0;

  /** Chooses the size (device pixels a body unit) and light for what follows. */
  begin(bodyPx: number, light: Light): void {
    const side = Math.max(6, Math.ceil(bodyPx * FIGURE_SIDE));
    if (side === this.side && light.key === this.light && !this.full) return;
    this.side = side;
    this.light = light.key;
    this.across = Math.max(2, Math.floor(PAGE_PX / side));
    this.full = false;
    this.emptiedMs = performance.now();
    this.pages = [];
    this.used = 0;
    for (const wardrobe of this.wardrobes.values()) wardrobe.before = null;
    this.before = this.wardrobes;
    this.wardrobes = new Map();
    this.generation += 1;
  }

  /** The figures of a look; to be asked for again when the generation changes. */
  wardrobe(number: number, look: Look, program: boolean): Wardrobe {
    const had = this.wardrobes.get(number);
    if (had !== undefined) return had;
    const made = { look, program, figures: [], before: this.before.get(number) ?? null };
    this.wardrobes.set(number, made);
    return made;
  }

  /** A figure of this look; another turn, posture or size of it while it is not painted; null while there is none. */
  figure(wardrobe: Wardrobe, posture: number, way: number): Figure | null {
    const { figures } = wardrobe;
    const at = figures[posture * WAYS + way];
    if (at) return at;
    if (at === undefined && this.wanted.length < NEW_A_FRAME) {
      this.wanted.push({ wardrobe, posture, way });
      figures[posture * WAYS + way] = null;
    }
    return (
      wardrobe.before?.figures[posture * WAYS + way] ??
      standing(figures, way) ??
      standing(wardrobe.before?.figures ?? figures, way)
    );
  }

  /** Paints what was asked for since; call before the first figure of a frame is drawn. */
  paint(light: Light): void {
    if (this.wanted.length === 0 && this.before.size > 0) {
      // all are painted: nobody needs those of before any more
      this.before.clear();
      for (const wardrobe of this.wardrobes.values()) wardrobe.before = null;
    }
    const begun = performance.now();
    for (const one of this.wanted) {
      if (performance.now() - begun > PAINT_MS || !this.paintOne(one, light))
        one.wardrobe.figures[one.posture * WAYS + one.way] = undefined;
    }
    this.wanted.length = 0;
  }

  /** Whether there was room. */
  private paintOne({ wardrobe, posture, way }: Wanted, light: Light): boolean {
    const inPage = this.used % (this.across * this.across);
    if (inPage === 0 && this.pages.length * this.across * this.across === this.used) {
      if (this.pages.length >= PAGES_MAX) {
        // all full: begin again, but not at every frame
        this.full = performance.now() - this.emptiedMs > EMPTY_MS;
        return false;
      }
      this.pages.push(sheet(this.across * this.side, this.across * this.side));
    }
    const page = this.pages[this.pages.length - 1] as OffscreenCanvas;
    const left = (inPage % this.across) * this.side;
    const top = Math.floor(inPage / this.across) * this.side;
    const scale = this.side / FIGURE_SIDE;
    const ink = inkOf(page, true);
    ink.save();
    ink.beginPath();
    ink.rect(left, top, this.side, this.side);
    ink.clip();
    ink.translate(left + this.side / 2, top + this.side / 2);
    ink.scale(scale, scale);
    disc(ink, 0.12, 0.13, wardrobe.look.outfit === "hanbok" ? 0.62 : 0.5, "rgba(24,20,44,0.22)");
    ink.rotate((way / WAYS) * 2 * Math.PI);
    paintFigure(ink, wardrobe.look, POSTURES[posture] as Posture, wardrobe.program, scale);
    ink.restore();
    const [r, g, b] = light.tint;
    if (r < 255 || g < 255 || b < 255) {
      // people stay a little brighter than the ground they walk on
      ink.globalCompositeOperation = "source-atop";
      const dark = 1 - (r + g + b) / 765;
      ink.fillStyle = `rgba(${Math.round(r * 0.42)},${Math.round(g * 0.42)},${Math.round(b * 0.5)},${0.42 * dark})`;
      ink.fillRect(left, top, this.side, this.side);
      ink.globalCompositeOperation = "source-over";
    }
    this.used += 1;
    wardrobe.figures[posture * WAYS + way] = { page, left, top, side: this.side, cut: null };
    return true;
  }
}

/** Copies a figure, its middle at a point of device pixels. */
export function drawFigure(ink: CanvasRenderingContext2D, figure: Figure, x: number, y: number): void {
  const { page, left, top, side } = figure;
  ink.drawImage(page, left, top, side, side, Math.round(x - side / 2), Math.round(y - side / 2), side, side);
}

/** The pixels of a figure. */
export function cutOf(figure: Figure): Cut {
  const { page, left, top, side } = figure;
  figure.cut ??= cutOut(inkOf(page, true).getImageData(left, top, side, side));
  return figure.cut;
}

/** Of one look, the figure that stands and is turned most like it. */
function standing(figures: Wardrobe["figures"], way: number): Figure | null {
  for (let turn = 0; turn < WAYS; turn++) {
    // the nearest turns first: 0, 1, -1, 2, -2, …
    const near = (way + (turn % 2 === 0 ? -turn / 2 : (turn + 1) / 2) + WAYS) % WAYS;
    const other = figures[near];
    if (other) return other;
  }
  return null;
}
