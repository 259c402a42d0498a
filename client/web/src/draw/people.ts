/**
 * People in the picture: those told of one by one, and the crowd that is only counted (`throng`).
 *
 * Few are drawn one call of the canvas each. A crowd is laid over the pixels of the ground, and the canvas gets the
 * whole at once: on a computer without a graphics card that is several times quicker.
 */

import { BOW, CLAP, DANCE, DRUM, RIDE, RUN, SIT, WALK, WAVE } from "../state/world";
import type { Backdrop, Frame } from "./backdrop";
import { corner } from "./backdrop";
import { POSTURES, type Posture } from "./figure";
import { CLOTH, type Look, readLook } from "./look";
import { Pixels } from "./pixels";
import type { Scene } from "./renderer";
import { cutOf, drawFigure, type Figure, lookNumber, Sprites, WAYS, type Wardrobe } from "./sprites";
import { boxOfPicture, Throng } from "./throng";

/** Below this many CSS pixels a metre people are dots. */
export const FIGURES_FROM = 0.4;
const LOOKS_KEPT = 8192;
/** With more people in the picture turns are coarser; bodies smaller than this show only their clothes. */
const MANY = 300;
const PLAIN_PX = 22;
/** So many, told of and counted, are a crowd: cheaper as pixels than by calls. */
const CROWD_FROM = 500;

interface Dressed {
  readonly text: string;
  readonly look: Look;
  readonly number: number;
  readonly program: boolean;
  readonly plain: boolean;
  wardrobe: Wardrobe;
  generation: number;
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

const ROOM = 8192;

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
  private readonly row = new Int32Array(ROOM);
  private readonly figures: (Figure | null)[] = [];
  private readonly throng = new Throng();
  private readonly pixels = new Pixels();

  /** Finds who is in the picture; to be called first. Whether they are a crowd. */
  gather(scene: Scene): boolean {
    this.find(scene);
    if (scene.camera.scale < FIGURES_FROM) return false;
    let counted = 0;
    for (const density of scene.view.density)
      for (let i = 0; i < density.count; i++) counted += density.people[i];
    return this.drawn.count + counted > CROWD_FROM;
  }

  /** Draws them on what is there. */
  draw(ink: CanvasRenderingContext2D, scene: Scene, ratio: number, nowMs: number): void {
    if (scene.camera.scale < FIGURES_FROM) {
      this.throng.drawHaze(ink, scene, ratio);
      this.dots(ink, scene, ratio);
      return;
    }
    this.throng.gather(scene, boxOfPicture(scene), 0, nowMs);
    this.dress(scene, ratio, nowMs);
    // whole pixels to whole pixels: nothing to smooth
    ink.imageSmoothingEnabled = false;
    this.throng.draw(ink, scene, ratio, this.sprites);
    for (let i = 0; i < this.drawn.count; i++) {
      const figure = this.figures[i];
      if (figure === null) continue;
      const fade = this.fadeOf(scene, i);
      if (fade < 0.99) ink.globalAlpha = fade;
      drawFigure(ink, figure, this.drawn.x[i] * ratio, this.drawn.y[i] * ratio);
      if (fade < 0.99) ink.globalAlpha = 1;
    }
    ink.imageSmoothingEnabled = true;
  }

  /** Draws a crowd and the ground under it, over all that is there. */
  drawCrowd(
    ink: CanvasRenderingContext2D,
    scene: Scene,
    backdrop: Backdrop,
    frame: Frame,
    ratio: number,
    nowMs: number,
  ): void {
    const ground = backdrop.still(frame, scene.light);
    const east = ground.width / 2 / ground.frame.scale;
    const north = ground.height / 2 / ground.frame.scale;
    const box = {
      west: ground.frame.east - east,
      east: ground.frame.east + east,
      south: ground.frame.north - north,
      north: ground.frame.north + north,
    };
    this.throng.gather(scene, box, ground.id, nowMs);
    this.dress(scene, ratio, nowMs);
    const still = this.throng.over(ground, this.sprites);
    const { left, top } = corner(still.frame, frame);
    this.pixels.begin(frame.width, frame.height, still, left, top);
    for (let i = 0; i < this.drawn.count; i++) {
      const figure = this.figures[i];
      if (figure === null) continue;
      const { x, y } = this.drawn;
      this.pixels.lay(cutOf(figure), x[i] * ratio, y[i] * ratio, this.fadeOf(scene, i));
    }
    this.pixels.show(ink);
  }

  /** Chooses everybody's figure. */
  private dress(scene: Scene, ratio: number, nowMs: number): void {
    const { view, light, still } = scene;
    const { drawn, sprites } = this;
    const body = bodySize(scene.camera.scale);
    drawn.reach = body * 0.6;
    sprites.begin(stepped(body * ratio), light);
    const plain = body * ratio < PLAIN_PX;
    const many = drawn.count > MANY;
    this.throng.dress(sprites);
    for (let turn = 0; turn < 2; turn++) {
      let lacking = false;
      for (let i = 0; i < drawn.count; i++) {
        const id = drawn.ids[i];
        const row = this.row[i];
        const yaw = row < 0 ? (view.me?.yaw ?? 0) : view.yaw[row];
        const posture = postureOf(drawn.state[i], still ? 0 : nowMs + (id % 997));
        const way = many ? wayOf(yaw) & ~1 : wayOf(yaw);
        const figure = sprites.figure(this.wear(scene, id, plain), POSTURES.indexOf(posture), way);
        this.figures[i] = figure;
        lacking ||= figure === null;
      }
      if (turn === 0) sprites.paint(light);
      if (!lacking) break;
    }
  }

  private fadeOf(scene: Scene, i: number): number {
    const row = this.row[i];
    return row < 0 ? 1 : scene.view.fade[row];
  }

  private find(scene: Scene): void {
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

  private wear(scene: Scene, id: number, plain: boolean): Wardrobe {
    const me = id === scene.view.me?.id;
    const person = me ? undefined : scene.view.people.get(id);
    const text = me ? scene.look : (person?.look ?? "");
    const program = person !== undefined && person.kind !== "person";
    const { sprites } = this;
    const had = this.dressed.get(id);
    if (had !== undefined && had.text === text && had.program === program && had.plain === plain) {
      if (had.generation !== sprites.generation) {
        had.wardrobe = sprites.wardrobe(had.number, had.look, program);
        had.generation = sprites.generation;
      }
      return had.wardrobe;
    }
    if (this.dressed.size > LOOKS_KEPT) this.dressed.clear();
    const whole = readLook(text, id);
    const look = plain ? simple(whole) : whole;
    const number = lookNumber(look, program);
    const wardrobe = sprites.wardrobe(number, look, program);
    const { generation } = sprites;
    this.dressed.set(id, { text, look, number, program, plain, wardrobe, generation });
    return wardrobe;
  }

  /** Everybody as a dot: people warm, programs cool, oneself apart. */
  private dots(ink: CanvasRenderingContext2D, scene: Scene, ratio: number): void {
    const size = (scene.camera.scale > 0.15 ? 3.2 : 2.4) * ratio;
    this.drawn.reach = 5;
    for (const program of [true, false]) {
      ink.fillStyle = program ? "#3f7f97" : CLOTH.crimson;
      for (let i = 0; i < this.drawn.count; i++) {
        if (this.row[i] < 0) continue;
        const kind = scene.view.people.get(this.drawn.ids[i])?.kind ?? "person";
        if ((kind !== "person") !== program) continue;
        ink.fillRect(this.drawn.x[i] * ratio - size / 2, this.drawn.y[i] * ratio - size / 2, size, size);
      }
    }
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
