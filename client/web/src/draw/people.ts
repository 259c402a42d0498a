/** People in the picture: those told of one by one, and the crowd that is only counted, drawn as a crowd. */

import type { Density } from "../state/world";
import { BOW, CLAP, DANCE, DRUM, RIDE, RUN, SIT, WALK, WAVE } from "../state/world";
import { inkOf, rgba, sheet } from "./brush";
import type { Posture } from "./figure";
import { chance } from "./hints";
import { CLOTH, type Look, lookOf, readLook } from "./look";
import type { Scene } from "./renderer";
import { lookNumber, Sprites, WAYS } from "./sprites";

/** Below this many CSS pixels a metre people are dots. */
export const FIGURES_FROM = 0.4;
const CROWD_MAX = 1500;
const CROWD_FEWER = 250;
const CROWD_LOOKS = 24;
const LOOKS_KEPT = 8192;
/** With more people in the picture turns are coarser; bodies smaller than this show only their clothes. */
const MANY = 300;
const PLAIN_PX = 22;

interface Dressed {
  readonly text: string;
  readonly look: Look;
  readonly number: number;
  readonly program: boolean;
  readonly plain: boolean;
}

/** Where somebody was drawn, in CSS pixels. */
export interface Drawn {
  readonly ids: Float64Array;
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly state: Uint8Array;
  count: number;
  /** Half the size of a body in CSS pixels. */
  reach: number;
}

const ROOM = 4096;

export class People {
  readonly drawn: Drawn = {
    ids: new Float64Array(ROOM),
    x: new Float32Array(ROOM),
    y: new Float32Array(ROOM),
    state: new Uint8Array(ROOM),
    count: 0,
    reach: 4,
  };
  private readonly sprites = new Sprites();
  private readonly dressed = new Map<number, Dressed>();
  private readonly crowdLooks = Array.from({ length: CROWD_LOOKS }, (_, i) => {
    const look = lookOf(7919 * (i + 1), 0.4);
    return { look, number: lookNumber(look, false) };
  });
  private readonly row = new Int32Array(ROOM);
  private readonly slots = new Int32Array(ROOM);
  private readonly haze = makeHaze();

  draw(ink: CanvasRenderingContext2D, scene: Scene, ratio: number, nowMs: number): void {
    const { camera, view, light } = scene;
    this.gather(scene);
    if (camera.scale < FIGURES_FROM) {
      this.crowdHaze(ink, scene, ratio);
      this.dots(ink, scene, ratio);
      return;
    }
    const body = bodySize(camera.scale);
    this.drawn.reach = body * 0.6;
    this.sprites.begin(stepped(body * ratio), light);
    const crowd = this.crowd(scene);
    const plain = body * ratio < PLAIN_PX;
    const many = this.drawn.count > MANY;
    const figure = (i: number): number => {
      const row = this.row[i];
      const dressed = this.wear(scene, this.drawn.ids[i], plain);
      const yaw = row < 0 ? (view.me?.yaw ?? 0) : view.yaw[row];
      const posture = postureOf(this.drawn.state[i], scene.still ? 0 : nowMs + (this.drawn.ids[i] % 997));
      const way = many ? wayOf(yaw) & ~1 : wayOf(yaw);
      return this.sprites.slot(dressed.number, dressed.look, posture, way, dressed.program);
    };
    for (let i = 0; i < this.drawn.count; i++) this.slots[i] = figure(i);
    for (let i = 0; i < crowd.count; i++) this.crowdSlot(crowd.kind[i]);
    this.sprites.paint(light);
    // whole pixels to whole pixels: nothing to smooth
    ink.imageSmoothingEnabled = false;
    ink.globalAlpha = 0.92;
    for (let i = 0; i < crowd.count; i++) {
      const slot = this.crowdSlot(crowd.kind[i]);
      if (slot >= 0) this.sprites.draw(ink, slot, crowd.x[i] * ratio, crowd.y[i] * ratio);
    }
    ink.globalAlpha = 1;
    let faded = false;
    for (let i = 0; i < this.drawn.count; i++) {
      const slot = this.slots[i] < 0 ? figure(i) : this.slots[i];
      if (slot < 0) continue;
      const row = this.row[i];
      const fade = row < 0 ? 1 : view.fade[row];
      if (fade < 0.99 || faded) {
        ink.globalAlpha = fade;
        faded = fade < 0.99;
      }
      this.sprites.draw(ink, slot, this.drawn.x[i] * ratio, this.drawn.y[i] * ratio);
    }
    ink.imageSmoothingEnabled = true;
    ink.globalAlpha = 1;
  }

  private gather(scene: Scene): void {
    const { camera, view, hidden } = scene;
    const drawn = this.drawn;
    const margin = 40;
    let count = 0;
    for (let i = 0; i < view.count && count < ROOM - 1; i++) {
      const x = camera.x(view.east[i]);
      const y = camera.y(view.north[i]);
      if (x < -margin || y < -margin || x > camera.width + margin || y > camera.height + margin) continue;
      if (view.fade[i] <= 0.02 || (hidden.size > 0 && hidden.has(view.ids[i]))) continue;
      drawn.ids[count] = view.ids[i];
      drawn.x[count] = x;
      drawn.y[count] = y;
      drawn.state[count] = view.state[i];
      this.row[count] = i;
      count += 1;
    }
    const me = view.me;
    if (me !== null) {
      drawn.ids[count] = me.id;
      drawn.x[count] = camera.x(me.east);
      drawn.y[count] = camera.y(me.north);
      drawn.state[count] = me.state;
      this.row[count] = -1;
      count += 1;
    }
    drawn.count = count;
  }

  private wear(scene: Scene, id: number, plain: boolean): Dressed {
    const me = id === scene.view.me?.id;
    const person = me ? undefined : scene.view.people.get(id);
    const text = me ? scene.look : (person?.look ?? "");
    const program = person !== undefined && person.kind !== "person";
    const had = this.dressed.get(id);
    if (had !== undefined && had.text === text && had.program === program && had.plain === plain) return had;
    if (this.dressed.size > LOOKS_KEPT) this.dressed.clear();
    const whole = readLook(text, id);
    const look = plain ? simple(whole) : whole;
    const made = { text, look, number: lookNumber(look, program), program, plain };
    this.dressed.set(id, made);
    return made;
  }

  private readonly places = {
    x: new Float32Array(CROWD_MAX),
    y: new Float32Array(CROWD_MAX),
    kind: new Uint16Array(CROWD_MAX),
    count: 0,
  };

  private crowdSlot(kind: number): number {
    const { look, number } = this.crowdLooks[kind >> 4];
    return this.sprites.slot(number, look, "stand", kind & 15, false);
  }

  /** Where the figures of the counted crowd stand: by the cell alone, so that they keep their spots. */
  private crowd(scene: Scene): People["places"] {
    const { camera, view } = scene;
    const out = this.places;
    const most = scene.fewer ? CROWD_FEWER : CROWD_MAX;
    let total = 0;
    for (const density of view.density) {
      eachCell(scene, density, (_column, _row, people) => {
        total += people;
      });
    }
    const share = total > most ? most / total : 1;
    let count = 0;
    for (const density of view.density) {
      const side = density.side;
      eachCell(scene, density, (column, row, people) => {
        const shown = Math.min(Math.round(people * share), most - count);
        for (let i = 0; i < shown; i++) {
          const x = camera.x((column + chance(column, row, 2 * i + 101)) * side);
          const y = camera.y((row + chance(column, row, 2 * i + 102)) * side);
          out.x[count] = x;
          out.y[count] = y;
          out.kind[count] =
            (Math.floor(chance(i, column, row) * CROWD_LOOKS) << 4) |
            (Math.floor(chance(row, i, column) * 8) * 2);
          count += 1;
        }
      });
    }
    out.count = count;
    return out;
  }

  private crowdHaze(ink: CanvasRenderingContext2D, scene: Scene, ratio: number): void {
    const { camera, view } = scene;
    for (const density of view.density) {
      eachCell(scene, density, (column, row, people) => {
        const side = Math.max(density.side * camera.scale * 2, 9) * ratio;
        const x = camera.x((column + 0.5) * density.side) * ratio;
        const y = camera.y((row + 0.5) * density.side) * ratio;
        ink.globalAlpha = Math.min(0.75, 0.16 + Math.log2(1 + people) * 0.075);
        ink.drawImage(this.haze, x - side / 2, y - side / 2, side, side);
      });
    }
    ink.globalAlpha = 1;
  }

  /** Everybody as a dot: people warm, programs cool, oneself apart. */
  private dots(ink: CanvasRenderingContext2D, scene: Scene, ratio: number): void {
    const size = (scene.camera.scale > 0.15 ? 3.2 : 2.4) * ratio;
    this.drawn.reach = 5;
    for (const program of [true, false]) {
      ink.beginPath();
      for (let i = 0; i < this.drawn.count; i++) {
        if (this.row[i] < 0) continue;
        const kind = scene.view.people.get(this.drawn.ids[i])?.kind ?? "person";
        if ((kind !== "person") !== program) continue;
        ink.rect(this.drawn.x[i] * ratio - size / 2, this.drawn.y[i] * ratio - size / 2, size, size);
      }
      ink.fillStyle = program ? "#3f7f97" : CLOTH.crimson;
      ink.fill();
    }
  }
}

function eachCell(
  scene: Scene,
  density: Density,
  visit: (column: number, row: number, people: number) => void,
): void {
  const { camera } = scene;
  const side = density.side;
  const west = camera.eastAt(0) - side;
  const east = camera.eastAt(camera.width);
  const south = camera.northAt(camera.height) - side;
  const north = camera.northAt(0);
  for (let i = 0; i < density.count; i++) {
    const e = density.columns[i] * side;
    const n = density.rows[i] * side;
    if (density.people[i] === 0 || e < west || e > east || n < south || n > north) continue;
    visit(density.columns[i], density.rows[i], density.people[i]);
  }
}

/** What of a look can be seen from far: fewer figures to paint. */
function simple(look: Look): Look {
  return {
    ...look,
    below: look.outfit === "hanbok" ? look.below : "black",
    hair: look.hair === "gat" ? "gat" : "short",
    tone: look.tone === "light" || look.tone === "grey" ? "grey" : "black",
    skin: "light",
    extra: look.extra === "wheelchair" ? "wheelchair" : "",
  };
}

/** CSS pixels of a body: true to scale when near, larger than life when far. */
export function bodySize(scale: number): number {
  return Math.max(1.15 * scale, Math.min(13, 4 + 2.3 * Math.log2(scale / FIGURES_FROM)));
}

/** Few sizes, so that zooming does not paint every figure at every frame. */
function stepped(px: number): number {
  return 2 ** (Math.round(Math.log2(px) * 4) / 4);
}

function wayOf(yaw: number): number {
  return ((Math.round((yaw / (2 * Math.PI)) * WAYS) % WAYS) + WAYS) % WAYS;
}

function postureOf(state: number, ms: number): Posture {
  switch (state) {
    case WALK:
      return (["left", "stand", "right", "stand"] as const)[Math.floor(ms / 160) & 3];
    case RUN:
      return (["left", "stand", "right", "stand"] as const)[Math.floor(ms / 95) & 3];
    case SIT:
    case RIDE:
      return "sit";
    case WAVE:
      return Math.floor(ms / 260) & 1 ? "wave" : "stand";
    case BOW:
      return "bow";
    case DANCE:
      return (["dance", "left", "dance", "right"] as const)[Math.floor(ms / 240) & 3];
    case CLAP:
      return Math.floor(ms / 170) & 1 ? "clap" : "stand";
    case DRUM:
      return Math.floor(ms / 200) & 1 ? "drum" : "stand";
    default:
      return "stand";
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
