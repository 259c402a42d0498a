/** Writing in the picture: each text is painted once and then copied; what would cover another is left out. */

import { named, say } from "../words";
import { BUBBLE_SHOWN, clean, cleanName } from "../words/clean";
import { inkOf, sheet } from "./brush";
import { HILLS } from "./hints";
import type { People } from "./people";
import type { Scene } from "./renderer";

const FONT =
  'system-ui, -apple-system, "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", "Noto Sans CJK KR", sans-serif';
const SERIF =
  '"AppleMyungjo", "Nanum Myeongjo", Batang, "Noto Serif KR", "Noto Serif CJK KR", Georgia, serif';
const KEPT_MAX = 400;
const NAMES_MAX = 36;
const BUBBLE_WIDTH = 200;
const MANY = 200;
/** Of so many only those are named who are this near to the middle, as a share of the diagonal. */
const NAMED_SHARE = 0.25;

type Style =
  | "name"
  | "program"
  | "friend"
  | "me"
  | "bubble"
  | "gu"
  | "place"
  | "room"
  | "hill"
  | "stop"
  | "water";

interface Written {
  readonly canvas: OffscreenCanvas;
  readonly width: number;
  readonly height: number;
  used: number;
}

interface Manner {
  readonly font: string;
  readonly colour: string;
  /** What the letters stand on: a soft halo, a pill, or a bubble. */
  readonly ground: "halo" | "pill" | "bubble";
  readonly back: string;
  readonly spacing: number;
}

const manner = (
  font: string,
  colour: string,
  ground: Manner["ground"],
  back: string,
  spacing = 0,
): Manner => ({
  font,
  colour,
  ground,
  back,
  spacing,
});

function mannerOf(style: Style, night: boolean): Manner {
  const halo = night ? "rgba(20,22,44,0.72)" : "rgba(252,248,238,0.85)";
  const ink = night ? "#f2ead8" : "#3a3432";
  switch (style) {
    case "gu":
      return manner(`600 15px ${SERIF}`, night ? "#d9d3e8" : "#6f5a54", "halo", halo, 3);
    case "place":
      return manner(`600 13px ${FONT}`, night ? "#ffe6b8" : "#5b3a34", "halo", halo);
    case "room":
      return manner(`600 13px ${FONT}`, "#2c5f52", "halo", "rgba(252,248,238,0.85)");
    case "hill":
      return manner(`italic 12px ${SERIF}`, night ? "#b7c9ae" : "#5c7350", "halo", halo, 1);
    case "water":
      return manner(`italic 14px ${SERIF}`, night ? "#bcd8ea" : "#47727f", "halo", "rgba(255,255,255,0)", 4);
    case "stop":
      return manner(`11px ${FONT}`, night ? "#f5d9d0" : "#8d3b33", "halo", halo);
    case "bubble":
      return manner(`14px ${FONT}`, "#26241f", "bubble", "rgba(255,253,246,0.96)");
    case "me":
      return manner(`600 12px ${FONT}`, "#fff", "pill", "rgba(138,76,68,0.92)");
    case "friend":
      return manner(`600 12px ${FONT}`, "#fff", "pill", "rgba(57,118,100,0.92)");
    case "program":
      return manner(`11px ${FONT}`, "#e9f4f8", "pill", "rgba(52,96,116,0.78)");
    default:
      return manner(`12px ${FONT}`, ink, "halo", halo);
  }
}

export class Labels {
  private readonly kept = new Map<string, Written>();
  private taken: [number, number, number, number][] = [];
  private frame = 0;
  private ratio = 1;

  forget(): void {
    this.kept.clear();
  }

  draw(ink: CanvasRenderingContext2D, scene: Scene, people: People, ratio: number, nowMs: number): void {
    if (ratio !== this.ratio) this.forget();
    this.ratio = ratio;
    this.frame += 1;
    this.taken = [];
    this.bubbles(ink, scene, people, nowMs);
    this.names(ink, scene, people);
    this.geography(ink, scene);
    if (this.kept.size > KEPT_MAX) {
      for (const [key, written] of this.kept) if (written.used < this.frame - 60) this.kept.delete(key);
      if (this.kept.size > 2 * KEPT_MAX) this.kept.clear();
    }
  }

  private bubbles(ink: CanvasRenderingContext2D, scene: Scene, people: People, nowMs: number): void {
    if (scene.bubbles.size === 0) return;
    const { drawn } = people;
    for (let i = 0; i < drawn.count; i++) {
      const bubble = scene.bubbles.get(drawn.ids[i]);
      if (bubble === undefined || bubble.until <= nowMs) continue;
      const written = this.write("bubble", clean(bubble.text, BUBBLE_SHOWN), false);
      ink.globalAlpha = Math.min(1, (bubble.until - nowMs) / 400);
      const x = drawn.x[i] - written.width / 2;
      const y = drawn.y[i] - drawn.reach - written.height - 4;
      this.put(ink, written, x, y);
      this.taken.push([x, y, x + written.width, y + written.height]);
      ink.globalAlpha = 1;
    }
  }

  private names(ink: CanvasRenderingContext2D, scene: Scene, people: People): void {
    const { camera, view } = scene;
    const { drawn } = people;
    const night = scene.light.glow > 0.5;
    const most = camera.scale >= 7 ? NAMES_MAX : camera.scale >= 3.2 ? 16 : 0;
    const order: [number, number][] = [];
    // those far from the middle are not named anyway when there are many
    const reach =
      drawn.count > MANY ? Math.hypot(camera.width, camera.height) * NAMED_SHARE : Number.MAX_VALUE;
    for (let i = 0; i < drawn.count; i++) {
      const id = drawn.ids[i];
      const mine = id === view.me?.id;
      const chosen = mine || id === scene.selected || scene.friends.has(id);
      if (!chosen && (most === 0 || !view.people.has(id))) continue;
      const away = Math.hypot(drawn.x[i] - camera.width / 2, drawn.y[i] - camera.height / 2);
      if (away > reach && !chosen) continue;
      order.push([chosen ? away - 1e6 : away, i]);
    }
    order.sort((a, b) => a[0] - b[0]);
    for (const [rank, i] of order.slice(0, most + 8)) {
      if (rank >= 0 && most === 0) break;
      const id = drawn.ids[i];
      const mine = id === view.me?.id;
      if (mine && camera.scale < 0.02) continue;
      const person = view.people.get(id);
      const name = mine ? cleanName(scene.name, say("you")) : cleanName(person?.name, "…");
      const program = person !== undefined && person.kind !== "person" && !mine;
      const style: Style = mine ? "me" : scene.friends.has(id) ? "friend" : program ? "program" : "name";
      const text = program ? `${name} · ${say(person.kind === "ai" ? "ai" : "program")}` : name;
      this.place(ink, style, text, drawn.x[i], drawn.y[i] + drawn.reach + 3, night, rank < 0);
    }
  }

  private geography(ink: CanvasRenderingContext2D, scene: Scene): void {
    const { camera, city } = scene;
    const scale = camera.scale;
    const night = scene.light.glow > 0.5;
    const at = (style: Style, text: string, east: number, north: number, lift = 0): void => {
      const x = camera.x(east);
      const y = camera.y(north) - lift;
      if (x < -80 || y < -20 || x > camera.width + 80 || y > camera.height + 20) return;
      this.place(ink, style, text, x, y, night, false);
    };
    if (scale < 0.16 && city !== null) {
      for (const gu of city.gu) at("gu", named(gu.name), gu.east, gu.north, 8);
    }
    if (scale > 0.045) {
      for (const place of scene.places) {
        const box = Math.max(8, scale * 10);
        at(
          place.ground === "city" ? "place" : "room",
          named(place.name),
          place.middle.east,
          place.middle.north,
          box * 0.5,
        );
      }
    }
    for (const place of scene.places) {
      if (scale < 1.2) break;
      for (const portal of place.portals)
        at("room", `↪ ${named(portal.name)}`, portal.east, portal.north, 22);
      for (const building of place.buildings) {
        const name = named(building.name);
        if (name !== "") at("name", name, building.outline[0], building.outline[1], 14);
      }
    }
    if (city === null) return;
    if (scale > 0.03 && scale < 6) {
      for (const spot of city.landmarks) {
        const known = scene.places.some(
          (place) => Math.hypot(place.middle.east - spot.east, place.middle.north - spot.north) < 110,
        );
        if (!known) at("place", named(spot.name), spot.east, spot.north, 6);
      }
    }
    if (scale > 0.02 && scale < 3) {
      for (const hill of HILLS) at("hill", named(hill), hill.east, hill.north, 6);
      for (const [e, n] of [
        [37000, 27950],
        [30000, 28500],
        [44800, 28200],
        [24700, 31500],
      ])
        at("water", say("hanRiver"), e, n, 6);
    }
    if (scale > 0.35)
      for (const stop of city.stops.slice(0, -1)) at("stop", named(stop.name), stop.east, stop.north, -9);
  }

  private place(
    ink: CanvasRenderingContext2D,
    style: Style,
    text: string,
    x: number,
    y: number,
    night: boolean,
    sure: boolean,
  ): void {
    if (text === "") return;
    const written = this.write(style, text, night);
    const left = x - written.width / 2;
    const box: [number, number, number, number] = [left, y, left + written.width, y + written.height];
    if (!sure && this.taken.some((t) => t[0] < box[2] && box[0] < t[2] && t[1] < box[3] && box[1] < t[3]))
      return;
    this.taken.push(box);
    this.put(ink, written, left, y);
  }

  private put(ink: CanvasRenderingContext2D, written: Written, x: number, y: number): void {
    ink.drawImage(written.canvas, Math.round(x * this.ratio), Math.round(y * this.ratio));
  }

  private write(style: Style, text: string, night: boolean): Written {
    const key = `${night ? "n" : "d"}${style}/${text}`;
    const had = this.kept.get(key);
    if (had !== undefined) {
      had.used = this.frame;
      return had;
    }
    const { font, colour, ground, back, spacing } = mannerOf(style, night);
    const measure = inkOf(sheet(1, 1));
    measure.font = font;
    measure.letterSpacing = `${spacing}px`;
    const lines = ground === "bubble" ? wrap(measure, text, BUBBLE_WIDTH) : [text];
    const size = Number(/(\d+)px/.exec(font)?.[1] ?? 12);
    const widest = Math.min(320, Math.max(...lines.map((line) => measure.measureText(line).width)));
    const pad = ground === "bubble" ? 10 : ground === "pill" ? 7 : 4;
    const rise = ground === "bubble" ? 8 : 3;
    const step = size * 1.36;
    const tail = ground === "bubble" ? 7 : 0;
    const width = Math.ceil(widest + 2 * pad);
    const height = Math.ceil(step * lines.length + 2 * rise + tail);
    const canvas = sheet(width * this.ratio, height * this.ratio);
    const pen = inkOf(canvas);
    pen.scale(this.ratio, this.ratio);
    pen.font = font;
    pen.letterSpacing = `${spacing}px`;
    pen.textBaseline = "middle";
    pen.textAlign = "center";
    pen.direction = "ltr";
    if (ground !== "halo") {
      pen.fillStyle = back;
      pen.shadowColor = "rgba(30,26,40,0.25)";
      pen.shadowBlur = ground === "bubble" ? 5 : 0;
      pen.beginPath();
      pen.roundRect(2, 1, width - 4, height - tail - 3, ground === "bubble" ? 11 : 9);
      if (ground === "bubble") {
        pen.moveTo(width / 2 - 6, height - tail - 3);
        pen.lineTo(width / 2, height - 3);
        pen.lineTo(width / 2 + 6, height - tail - 3);
      }
      pen.fill();
      pen.shadowBlur = 0;
    }
    lines.forEach((line, i) => {
      const y = rise + step * (i + 0.5);
      if (ground === "halo") {
        pen.strokeStyle = back;
        pen.lineWidth = 3.4;
        pen.lineJoin = "round";
        pen.strokeText(line, width / 2, y, 316);
      }
      pen.fillStyle = colour;
      pen.fillText(line, width / 2, y, 316);
    });
    const made = { canvas, width, height, used: this.frame };
    this.kept.set(key, made);
    return made;
  }
}

function wrap(pen: OffscreenCanvasRenderingContext2D, text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const letter of text) {
    if (line !== "" && pen.measureText(line + letter).width > width) {
      const space = line.lastIndexOf(" ");
      if (space > line.length / 2 && letter !== " ") {
        lines.push(line.slice(0, space));
        line = line.slice(space + 1) + letter;
      } else {
        lines.push(line);
        line = letter.trimStart();
      }
      if (lines.length === 4) return lines;
    } else {
      line += letter;
    }
  }
  if (line !== "") lines.push(line);
  return lines.length === 0 ? [""] : lines;
}
