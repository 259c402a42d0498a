/**
 * The layer of regions: whose ground is whose. Regions of one node run together, with thin lines between them; where two
 * nodes meet, each draws its own side of a thick border. A node is told by its colour, by its hatching, and by its name.
 *
 * All of it is painted once and then copied, until the map, the counts, the hour or the eye's height change.
 */

import { type Carrier, type Edge, edgesOf, type Region } from "../state/regions";
import { say } from "../words";
import { type Ink, inkOf, sheet } from "./brush";
import type { Camera } from "./camera";

const DAY = ["#2f7d66", "#c2462f", "#4453a6", "#a8700f", "#83418d", "#1f7e9e", "#6d7418", "#b0396a"] as const;
const NIGHT = [
  "#6fd3b0",
  "#ff8f73",
  "#9caaff",
  "#f0bd55",
  "#d99be4",
  "#6fcff0",
  "#c3cf5c",
  "#ff8fbd",
] as const;
const NOBODY = { day: "#5a5a5a", night: "#a8a8b0" } as const;
const FONT = 'system-ui, -apple-system, "Noto Sans KR", "Noto Sans CJK KR", sans-serif';
const MARGIN_PX = 200;
const HATCH_PX = 14;
/** On the picture, CSS pixels: from these on a region says its node, or only its count. */
const NAMED_PX = 76;
const COUNTED_PX = 30;
const BORDER_PX = 3.5;
const FLASH_MS = 3200;

/** A change that is shown where it happened. */
export interface Flash {
  readonly region: Region;
  /** `performance.now()` at which it began. */
  readonly sinceMs: number;
}

/** What the layer shows; a new `version` whenever anything of it has changed. */
export interface Picture {
  readonly version: number;
  readonly regions: readonly Region[];
  readonly carriers: ReadonlyMap<string, Carrier>;
  /** The number of each node, from which its colour and its hatching come. */
  readonly slots: ReadonlyMap<string, number>;
  readonly flashes: readonly Flash[];
}

interface Made {
  readonly version: number;
  readonly east: number;
  readonly north: number;
  readonly scale: number;
  readonly ratio: number;
  readonly night: boolean;
  readonly width: number;
  readonly height: number;
}

/** The colour of a node's ground. */
export function colourOf(slot: number | undefined, night: boolean): string {
  if (slot === undefined) return night ? NOBODY.night : NOBODY.day;
  return (night ? NIGHT : DAY)[slot % DAY.length];
}

/** Fills the present path in a node's manner; also the small squares of a legend. */
export function paintGround(
  ink: Ink,
  slot: number | undefined,
  night: boolean,
  ratio: number,
  strong: number,
): void {
  const colour = colourOf(slot, night);
  ink.globalAlpha = (night ? 0.15 : 0.12) * strong;
  ink.fillStyle = colour;
  ink.fill();
  const hatch = ink.createPattern(hatching(slot ?? 7, colour, ratio), "repeat");
  if (hatch !== null) {
    ink.globalAlpha = (night ? 0.22 : 0.24) * strong;
    ink.fillStyle = hatch;
    ink.fill();
  }
  ink.globalAlpha = 1;
}

/** One square of a hatching; eight nodes later the same colour has another one. */
function hatching(slot: number, colour: string, ratio: number): OffscreenCanvas {
  const side = Math.round(HATCH_PX * ratio);
  const canvas = sheet(side, side);
  const pen = inkOf(canvas);
  pen.strokeStyle = colour;
  pen.fillStyle = colour;
  pen.lineWidth = 1.3 * ratio;
  const line = (...ends: number[]): void => {
    pen.beginPath();
    for (let i = 0; i < ends.length; i += 4) {
      pen.moveTo(ends[i] * side, ends[i + 1] * side);
      pen.lineTo(ends[i + 2] * side, ends[i + 3] * side);
    }
    pen.stroke();
  };
  switch ((slot + 3 * Math.floor(slot / DAY.length)) % 8) {
    case 0:
      line(-0.5, 0.5, 0.5, -0.5, 0, 1, 1, 0, 0.5, 1.5, 1.5, 0.5);
      break;
    case 1:
      line(-0.5, 0.5, 0.5, 1.5, 0, 0, 1, 1, 0.5, -0.5, 1.5, 0.5);
      break;
    case 2:
      line(0, 0.5, 1, 0.5);
      break;
    case 3:
      line(0.5, 0, 0.5, 1);
      break;
    case 4:
      pen.beginPath();
      pen.arc(side / 2, side / 2, 1.7 * ratio, 0, 2 * Math.PI);
      pen.fill();
      break;
    case 5:
      line(0, 0.5, 1, 0.5, 0.5, 0, 0.5, 1);
      break;
    case 6:
      line(0, 0, 1, 1, 0, 1, 1, 0);
      break;
    default:
      line(0.25, 0.5, 0.75, 0.5);
  }
  return canvas;
}

export class RegionLayer {
  private canvas: OffscreenCanvas | null = null;
  private made: Made | null = null;
  private scale = 0;
  private edges: Edge[] = [];
  private edgesOf: readonly Region[] | null = null;
  /** How often it was painted. */
  painted = 0;

  draw(
    ink: CanvasRenderingContext2D,
    picture: Picture,
    camera: Camera,
    ratio: number,
    night: boolean,
    still: boolean,
    nowMs: number,
  ): void {
    const zooming = camera.scale !== this.scale;
    this.scale = camera.scale;
    const wanted: Made = {
      version: picture.version,
      east: camera.east,
      north: camera.north,
      scale: camera.scale,
      ratio,
      night,
      width: ink.canvas.width,
      height: ink.canvas.height,
    };
    if (!this.serves(wanted, zooming)) this.paint(picture, wanted);
    const { canvas, made } = this;
    if (canvas === null || made === null) return;
    const grown = wanted.scale / made.scale;
    const left =
      (made.east - wanted.east) * wanted.scale * ratio + wanted.width / 2 - (canvas.width / 2) * grown;
    const top =
      (wanted.north - made.north) * wanted.scale * ratio + wanted.height / 2 - (canvas.height / 2) * grown;
    if (grown === 1) ink.drawImage(canvas, Math.round(left), Math.round(top));
    else ink.drawImage(canvas, left, top, canvas.width * grown, canvas.height * grown);
    for (const flash of picture.flashes) this.flash(ink, flash, camera, ratio, still, nowMs);
  }

  /** Whether what is painted will do. While one zooms, an older height does. */
  private serves(wanted: Made, zooming: boolean): boolean {
    const { made } = this;
    if (made === null || made.ratio !== wanted.ratio || made.night !== wanted.night) return false;
    if (made.width !== wanted.width || made.height !== wanted.height) return false;
    const grown = wanted.scale / made.scale;
    if (zooming && grown > 0.5 && grown < 2) return true;
    const px = wanted.scale * wanted.ratio;
    return (
      made.version === wanted.version &&
      grown === 1 &&
      Math.abs(made.east - wanted.east) * px < MARGIN_PX &&
      Math.abs(made.north - wanted.north) * px < MARGIN_PX
    );
  }

  private paint(picture: Picture, wanted: Made): void {
    this.painted += 1;
    const width = wanted.width + 2 * MARGIN_PX;
    const height = wanted.height + 2 * MARGIN_PX;
    if (this.canvas === null || this.canvas.width !== width || this.canvas.height !== height)
      this.canvas = sheet(width, height);
    this.made = wanted;
    if (this.edgesOf !== picture.regions) {
      this.edgesOf = picture.regions;
      this.edges = edgesOf(picture.regions);
    }
    const ink = inkOf(this.canvas);
    ink.clearRect(0, 0, width, height);
    const px = wanted.scale * wanted.ratio;
    const x = (east: number): number => Math.round((east - wanted.east) * px + width / 2);
    const y = (north: number): number => Math.round(height / 2 - (north - wanted.north) * px);
    this.grounds(ink, picture, wanted, x, y);
    this.lines(ink, picture, wanted, x, y);
    this.names(ink, picture, wanted, x, y);
  }

  private grounds(
    ink: OffscreenCanvasRenderingContext2D,
    picture: Picture,
    { ratio, night }: Made,
    x: (east: number) => number,
    y: (north: number) => number,
  ): void {
    const byHolder = new Map<string | null, Region[]>();
    for (const region of picture.regions) {
      const had = byHolder.get(region.holder);
      if (had === undefined) byHolder.set(region.holder, [region]);
      else had.push(region);
    }
    for (const [holder, regions] of byHolder) {
      ink.beginPath();
      for (const region of regions) {
        const left = x(region.west);
        const top = y(region.north);
        const right = x(region.east);
        const bottom = y(region.south);
        if (right > 0 && bottom > 0 && left < ink.canvas.width && top < ink.canvas.height)
          ink.rect(left, top, right - left, bottom - top);
      }
      paintGround(ink, holder === null ? undefined : picture.slots.get(holder), night, ratio, 1);
    }
  }

  private lines(
    ink: OffscreenCanvasRenderingContext2D,
    picture: Picture,
    { ratio, night }: Made,
    x: (east: number) => number,
    y: (north: number) => number,
  ): void {
    const slot = (holder: string | null): number | undefined =>
      holder === null ? undefined : picture.slots.get(holder);
    const thick = BORDER_PX * ratio;
    for (const { upright, at, from, to, before, after } of this.edges) {
      const line = (aside: number): void => {
        ink.beginPath();
        if (upright) {
          ink.moveTo(x(at) + aside, y(from));
          ink.lineTo(x(at) + aside, y(to));
        } else {
          ink.moveTo(x(from), y(at) - aside);
          ink.lineTo(x(to), y(at) - aside);
        }
        ink.stroke();
      };
      const where = upright ? x(at) : y(at);
      if (where < -thick || where > (upright ? ink.canvas.width : ink.canvas.height) + thick) continue;
      if (before === after) {
        ink.globalAlpha = 0.5;
        ink.lineWidth = ratio;
        ink.setLineDash([4 * ratio, 4 * ratio]);
        ink.strokeStyle = colourOf(slot(before), night);
        line(0);
        ink.setLineDash([]);
        continue;
      }
      ink.globalAlpha = 0.9;
      ink.lineWidth = thick;
      ink.strokeStyle = colourOf(slot(before), night);
      line(-thick / 2);
      ink.strokeStyle = colourOf(slot(after), night);
      line(thick / 2);
    }
    ink.globalAlpha = 1;
  }

  private names(
    ink: OffscreenCanvasRenderingContext2D,
    picture: Picture,
    { ratio, night }: Made,
    x: (east: number) => number,
    y: (north: number) => number,
  ): void {
    ink.textBaseline = "middle";
    ink.textAlign = "left";
    for (const region of picture.regions) {
      const corner = x(region.west) >= MARGIN_PX && y(region.north) >= MARGIN_PX;
      const left = Math.max(x(region.west), MARGIN_PX);
      const top = Math.max(y(region.north), MARGIN_PX);
      const right = Math.min(x(region.east), ink.canvas.width - MARGIN_PX);
      const bottom = Math.min(y(region.south), ink.canvas.height - MARGIN_PX);
      const room = Math.min(right - left, bottom - top) / ratio;
      // of ground whose corner is beyond the picture only that in the middle is named: the bars lie on the edges
      const middle = right > ink.canvas.width / 2 && left < ink.canvas.width / 2;
      const named = corner || (middle && bottom > ink.canvas.height / 2 && top < ink.canvas.height / 2);
      if (room < COUNTED_PX || !named) continue;
      const carrier = region.holder === null ? undefined : picture.carriers.get(region.holder);
      const people = carrier?.people?.get(region.key) ?? 0;
      const marks = marksOf(region, picture);
      const parts = room < NAMED_PX ? [] : [carrier?.name ?? say("nobodysGround")];
      if (people > 0) parts.push(room < NAMED_PX ? String(people) : say("peopleCount", { count: people }));
      if (room >= NAMED_PX) parts.push(...marks);
      if (parts.length === 0) continue;
      const size = (room < NAMED_PX ? 11 : 12) * ratio;
      ink.font = `600 ${size}px ${FONT}`;
      const text = parts.join(" · ");
      const wide = ink.measureText(text).width + 12 * ratio;
      if (wide > right - left - 8 * ratio) continue;
      const high = size * 1.55;
      const e = left + 6 * ratio;
      const n = top + 6 * ratio;
      ink.globalAlpha = night ? 0.9 : 0.94;
      ink.fillStyle = night ? "#1d2040" : "#fffdf6";
      ink.beginPath();
      ink.roundRect(e, n, wide, high, 5 * ratio);
      ink.fill();
      ink.globalAlpha = 1;
      const colour = colourOf(region.holder === null ? undefined : picture.slots.get(region.holder), night);
      ink.strokeStyle = colour;
      ink.lineWidth = 1.2 * ratio;
      ink.stroke();
      ink.fillStyle = night ? colour : "#2b2926";
      ink.fillText(text, e + 6 * ratio, n + high / 2 + 0.5 * ratio);
    }
  }

  private flash(
    ink: CanvasRenderingContext2D,
    { region, sinceMs }: Flash,
    camera: Camera,
    ratio: number,
    still: boolean,
    nowMs: number,
  ): void {
    const age = (nowMs - sinceMs) / FLASH_MS;
    if (age < 0 || age >= 1) return;
    ink.globalAlpha = still ? 0.9 : 1 - age ** 2;
    ink.strokeStyle = "#f6b73c";
    ink.lineWidth = (still ? 5 : 4 + 6 * Math.abs(Math.sin(age * 3 * Math.PI))) * ratio;
    const x = camera.x(region.west) * ratio;
    const y = camera.y(region.north) * ratio;
    const side = (region.east - region.west) * camera.scale * ratio;
    ink.strokeRect(x, y, side, side);
    ink.globalAlpha = 1;
  }
}

/** What is to become of a region, in words. */
function marksOf(region: Region, picture: Picture): string[] {
  const marks: string[] = [];
  if (region.pinned) marks.push(say("regionPinned"));
  if (region.wish === "move" && region.to !== null)
    marks.push(`→ ${picture.carriers.get(region.to)?.name ?? region.to.slice(0, 8)}`);
  else if (region.wish === "merge") marks.push(say("regionMerging"));
  else if (region.wish !== null) marks.push(say("regionCutting"));
  return marks;
}
