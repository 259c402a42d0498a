/**
 * The crowd that is only counted, drawn as a crowd: figures at spots that depend on the cell alone, so that they keep
 * them while the count stays; or, from far above, a haze. In a crowd they become part of the ground: laid over it once,
 * and again only when counts or ground change.
 */

import type { Density } from "../state/world";
import type { Still } from "./backdrop";
import { inkOf, rgba, sheet } from "./brush";
import type { Box } from "./city";
import { chance } from "./hints";
import { lookOf } from "./look";
import { lay } from "./pixels";
import type { Scene } from "./renderer";
import { cutOf, drawFigure, type Figure, lookNumber, type Sprites, type Wardrobe } from "./sprites";

const FIGURES_MAX = 6000;
const FEWER_MAX = 500;
const LOOKS = 24;
/** Counts change with every step of somebody; they are looked at anew this often. */
const ANEW_MS = 400;
/** With so many told of one by one, all the nearest are: nobody counted is drawn among them. */
const TOLD_FROM = 64;
const TRIES = 6;
const GRID_M = 2;

export class Throng {
  /** How many figures of counted people are in the picture and around it. */
  count = 0;
  readonly east = new Float64Array(FIGURES_MAX);
  readonly north = new Float64Array(FIGURES_MAX);
  /** Look · 16 + way. */
  private readonly kind = new Uint16Array(FIGURES_MAX);
  private readonly looks = Array.from({ length: LOOKS }, (_, i) => lookOf(7919 * (i + 1), 0.4));
  private wardrobes: Wardrobe[] = [];
  private generation = -1;
  private key = 0;
  private boxId = -1;
  private anewMs = 0;
  private composed: { readonly from: Still; readonly key: number; readonly still: Still } | null = null;
  private haze: OffscreenCanvas | null = null;

  /** Finds who stands within a box of metres; `id` changes when the box is another one. */
  gather(scene: Scene, box: Box, id: number, nowMs: number): void {
    if (id === this.boxId && nowMs < this.anewMs) return;
    this.anewMs = nowMs + ANEW_MS;
    this.boxId = id;
    const most = scene.fewer ? FEWER_MAX : FIGURES_MAX;
    const known = told(scene);
    let total = 0;
    let key = Math.imul(id ^ Math.round(known.reach), 0x9e3779b1) ^ (known.east * 77 + known.north);
    for (const density of scene.view.density) {
      eachCell(density, box, (column, row, people) => {
        total += people;
        key = Math.imul(key ^ (column * 31 + row), 0x85ebca6b) ^ Math.imul(people, 0xc2b2ae35);
      });
    }
    if (key === this.key) return;
    this.key = key;
    const share = total > most ? most / total : 1;
    let count = 0;
    for (const density of scene.view.density) {
      const side = density.side;
      eachCell(density, box, (column, row, people) => {
        const shown = Math.min(Math.round(people * share), most - count);
        for (let i = 0; i < shown; i++) {
          for (let spot = 0; spot < TRIES; spot++) {
            const east = (column + chance(column, row, 2 * i + 101 + 9973 * spot)) * side;
            const north = (row + chance(column, row, 2 * i + 102 + 9973 * spot)) * side;
            this.east[count] = east;
            this.north[count] = north;
            if (Math.hypot(east - known.east, north - known.north) > known.reach) break;
          }
          this.kind[count] =
            (Math.floor(chance(i, column, row) * LOOKS) << 4) | (Math.floor(chance(row, i, column) * 8) * 2);
          count += 1;
        }
      });
    }
    this.count = count;
  }

  /** Asks for every figure there is, so that they are painted before the first is drawn. */
  dress(sprites: Sprites): void {
    if (this.generation !== sprites.generation) {
      this.generation = sprites.generation;
      this.wardrobes = this.looks.map((look) => sprites.wardrobe(lookNumber(look, false), look, false));
      this.composed = null;
    }
    for (let i = 0; i < this.count; i++) this.figure(sprites, i);
  }

  /** Draws each by a call of the canvas: for few. */
  draw(ink: CanvasRenderingContext2D, scene: Scene, ratio: number, sprites: Sprites): void {
    const { camera } = scene;
    ink.globalAlpha = 0.92;
    for (let i = 0; i < this.count; i++) {
      const figure = this.figure(sprites, i);
      const x = camera.x(this.east[i]) * ratio;
      const y = camera.y(this.north[i]) * ratio;
      if (figure !== null) drawFigure(ink, figure, x, y);
    }
    ink.globalAlpha = 1;
  }

  /** The ground with all of them on it. */
  over(ground: Still, sprites: Sprites): Still {
    if (this.count === 0) return ground;
    const had = this.composed;
    if (had !== null && had.from === ground && had.key === this.key) return had.still;
    const px = had !== null && had.still.px.length === ground.px.length ? had.still.px : ground.px.slice();
    px.set(ground.px);
    const { east, north, scale } = ground.frame;
    let lacking = false;
    for (let i = 0; i < this.count; i++) {
      const figure = this.figure(sprites, i);
      if (figure === null) {
        lacking = true;
        continue;
      }
      const x = (this.east[i] - east) * scale + ground.width / 2;
      const y = ground.height / 2 - (this.north[i] - north) * scale;
      lay(px, ground.width, ground.height, cutOf(figure), x, y, 0.92);
    }
    const still = { ...ground, px };
    this.composed = lacking ? null : { from: ground, key: this.key, still };
    return still;
  }

  /** From far above: the denser, the warmer. */
  drawHaze(ink: CanvasRenderingContext2D, scene: Scene, ratio: number): void {
    const { camera, view } = scene;
    const box = boxOfPicture(scene);
    this.haze ??= makeHaze();
    const { haze } = this;
    for (const density of view.density) {
      eachCell(density, box, (column, row, people) => {
        const side = Math.max(density.side * camera.scale * 2, 9) * ratio;
        const x = camera.x((column + 0.5) * density.side) * ratio;
        const y = camera.y((row + 0.5) * density.side) * ratio;
        ink.globalAlpha = Math.min(0.75, 0.16 + Math.log2(1 + people) * 0.075);
        ink.drawImage(haze, x - side / 2, y - side / 2, side, side);
      });
    }
    ink.globalAlpha = 1;
  }

  private figure(sprites: Sprites, i: number): Figure | null {
    const kind = this.kind[i];
    return sprites.figure(this.wardrobes[kind >> 4], 0, kind & 15);
  }
}

/** The ground around oneself on which everybody is told of one by one; coarsely, so that it stays the same for a while. */
function told({ view }: Scene): { readonly east: number; readonly north: number; readonly reach: number } {
  const { me } = view;
  if (me === null || view.count < TOLD_FROM) return { east: 0, north: 0, reach: 0 };
  const away = new Float64Array(view.count);
  for (let i = 0; i < view.count; i++) away[i] = Math.hypot(view.east[i] - me.east, view.north[i] - me.north);
  // the farthest few may stand anywhere
  const reach = away.sort()[Math.floor(view.count * 0.9)];
  const coarse = (metres: number): number => Math.round(metres / GRID_M) * GRID_M;
  return { east: coarse(me.east), north: coarse(me.north), reach: coarse(reach) };
}

/** What of the world is in the picture. */
export function boxOfPicture({ camera }: Scene): Box {
  return {
    west: camera.eastAt(0),
    east: camera.eastAt(camera.width),
    south: camera.northAt(camera.height),
    north: camera.northAt(0),
  };
}

function eachCell(
  density: Density,
  box: Box,
  visit: (column: number, row: number, people: number) => void,
): void {
  const side = density.side;
  for (let i = 0; i < density.count; i++) {
    const e = density.columns[i] * side;
    const n = density.rows[i] * side;
    if (density.people[i] === 0 || e < box.west - side || e > box.east) continue;
    if (n < box.south - side || n > box.north) continue;
    visit(density.columns[i], density.rows[i], density.people[i]);
  }
}

function makeHaze(): OffscreenCanvas {
  const canvas = sheet(64, 64);
  const ink = inkOf(canvas);
  const spot = ink.createRadialGradient(32, 32, 0, 32, 32, 32);
  spot.addColorStop(0, rgba(196, 69, 58, 0.9));
  spot.addColorStop(0.5, rgba(222, 120, 80, 0.45));
  spot.addColorStop(1, rgba(236, 150, 90, 0));
  ink.fillStyle = spot;
  ink.fillRect(0, 0, 64, 64);
  return canvas;
}
