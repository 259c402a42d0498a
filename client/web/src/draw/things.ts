/** What is in the world besides people: lanterns with their light, bells, notes, buses, rings of sound. */

import type { WorldObject } from "../state/world";
import { disc, inkOf, rgba, sheet } from "./brush";
import type { Scene } from "./renderer";

const GLOW_PX = 96;
const PENDING_ALPHA = 0.45; // and without its light
const BUS_RED = "#c23b36";
const SOUND_MS = { beat: 700, bell: 4200 } as const;

export class Things {
  private readonly glow = makeGlow();
  private lanterns: OffscreenCanvas[] = [];
  private lanternPx = 0;
  /** Where objects were drawn in the last picture (CSS pixels). */
  readonly drawn: { key: string; x: number; y: number }[] = [];

  /** Below people: buses, rings of sound, where one is walking to. */
  below(ink: CanvasRenderingContext2D, scene: Scene, ratio: number, nowMs: number): void {
    const { camera } = scene;
    for (const bus of scene.buses) {
      const away = 30 + 12 * camera.scale;
      const x = camera.x(bus.east);
      const y = camera.y(bus.north);
      if (x < -away || y < -away || x > camera.width + away || y > camera.height + away) continue;
      drawBus(
        ink,
        camera.x(bus.east) * ratio,
        camera.y(bus.north) * ratio,
        bus.yaw,
        camera.scale * ratio,
        scene,
      );
    }
    const server = scene.view.serverTime();
    for (const pulse of scene.pulses) {
      const age = (server - pulse.atMs) / SOUND_MS[pulse.kind];
      if (age < 0 || age > 1) continue;
      const reach = (pulse.kind === "bell" ? 14 + 90 * age : 1 + 5 * age) * Math.max(camera.scale, 0.6);
      const x = camera.x(pulse.east) * ratio;
      const y = camera.y(pulse.north) * ratio;
      for (const part of scene.still ? [0.5] : pulse.kind === "bell" ? [1, 0.72, 0.46] : [1]) {
        ink.beginPath();
        ink.arc(x, y, reach * part * ratio, 0, 2 * Math.PI);
        ink.strokeStyle =
          pulse.kind === "bell"
            ? rgba(214, 170, 84, 0.6 * (1 - age))
            : pulse.voice === 0
              ? rgba(184, 38, 71, 0.85 * (1 - age))
              : rgba(46, 90, 168, 0.85 * (1 - age));
        ink.lineWidth = (pulse.kind === "bell" ? 3 : 2.4) * ratio;
        ink.stroke();
      }
    }
    const goal = scene.view.me?.goal;
    if (goal !== undefined && goal !== null) {
      const beat = scene.still ? 0 : Math.sin(nowMs / 260) * 1.5;
      ink.beginPath();
      ink.arc(camera.x(goal.east) * ratio, camera.y(goal.north) * ratio, (7 + beat) * ratio, 0, 2 * Math.PI);
      ink.strokeStyle = rgba(138, 76, 68, 0.85);
      ink.lineWidth = 2 * ratio;
      ink.setLineDash([4 * ratio, 3 * ratio]);
      ink.stroke();
      ink.setLineDash([]);
    }
    const me = scene.view.me;
    if (me !== null)
      ring(
        ink,
        camera.x(me.east) * ratio,
        camera.y(me.north) * ratio,
        15 * ratio,
        rgba(138, 76, 68, 0.32),
        ratio,
      );
  }

  /** Objects, and their light when it is dark. */
  objects(ink: CanvasRenderingContext2D, scene: Scene, ratio: number, nowMs: number): void {
    const { camera, view, light } = scene;
    this.drawn.length = 0;
    const size = Math.max(4, Math.min(30, camera.scale * 1.25)) * ratio;
    this.paintLanterns(size);
    const near: [WorldObject, number, number][] = [];
    for (const object of view.objects.values()) {
      const x = camera.x(object.east);
      // a lantern hangs over the head of whoever stands below it
      const y = camera.y(object.north) - (object.kind === "lantern" ? size / ratio / 2 : 0);
      if (x < -40 || y < -40 || x > camera.width + 40 || y > camera.height + 40) continue;
      if (scene.hidden.has(object.by)) continue;
      near.push([object, x, y]);
      this.drawn.push({ key: object.key, x, y });
    }
    for (const [object, x, y] of near) {
      if (object.kind === "lantern") {
        const sway = scene.still ? 0 : Math.sin(nowMs / 900 + object.east) * 0.06 * size;
        const kind = object.id[0] % this.lanterns.length;
        const canvas = this.lanterns[kind];
        ink.globalAlpha = object.pending ? PENDING_ALPHA : 1;
        ink.drawImage(
          canvas,
          Math.round(x * ratio - canvas.width / 2 + sway),
          Math.round(y * ratio - canvas.height / 2),
        );
        ink.globalAlpha = 1;
      } else if (object.kind === "note") {
        ink.fillStyle = "#fbf3d6";
        ink.fillRect(x * ratio - 3 * ratio, y * ratio - 3 * ratio, 6 * ratio, 6 * ratio);
      } else if (object.kind === "ticket") {
        ink.fillStyle = object.text === "" ? "#fbf3d6" : "#a8c7a0";
        ink.fillRect(x * ratio - 2 * ratio, y * ratio - 3 * ratio, 4 * ratio, 6 * ratio);
      } else if (object.kind === "bell" && camera.scale > 0.3) {
        disc(ink, x * ratio, y * ratio, size * 0.42, "#7a6c46");
        disc(ink, x * ratio, y * ratio, size * 0.3, "#a8966a");
      }
    }
    const lit = Math.max(0.16, light.glow);
    const wide = Math.max(10, Math.min(120, camera.scale * 9)) * ratio;
    ink.globalCompositeOperation = "lighter";
    for (const [object, x, y] of near) {
      if (object.kind !== "lantern" || object.pending) continue;
      const flicker = scene.still ? 1 : 0.9 + 0.1 * Math.sin(nowMs / 310 + object.north);
      ink.globalAlpha = lit * 0.62 * flicker;
      ink.drawImage(this.glow, x * ratio - wide / 2, y * ratio - wide / 2, wide, wide);
    }
    ink.globalAlpha = 1;
    ink.globalCompositeOperation = "source-over";
  }

  private paintLanterns(size: number): void {
    const px = Math.round(size);
    if (px === this.lanternPx) return;
    this.lanternPx = px;
    const colours = [
      ["#d23b3b", "#2e5aa8"],
      ["#f0a63c", "#d23b3b"],
      ["#ef8fa6", "#f7d9dd"],
      ["#7fc0a2", "#f2e3b0"],
    ];
    this.lanterns = colours.map(([upper, lower], i) => {
      const canvas = sheet(px + 4, px + 4);
      const ink = inkOf(canvas);
      const c = px / 2 + 2;
      ink.translate(c, c);
      disc(ink, px * 0.06, px * 0.1, px * 0.4, rgba(24, 20, 40, 0.22));
      if (i === 2) {
        // an open lotus
        for (let k = 0; k < 8; k++) {
          ink.save();
          ink.rotate((k / 8) * 2 * Math.PI);
          ink.beginPath();
          ink.ellipse(0, -px * 0.26, px * 0.13, px * 0.2, 0, 0, 2 * Math.PI);
          ink.fillStyle = k % 2 === 0 ? upper : lower;
          ink.fill();
          ink.restore();
        }
        disc(ink, 0, 0, px * 0.16, "#ffe9a8");
      } else {
        ink.beginPath();
        ink.arc(0, 0, px * 0.4, Math.PI, 2 * Math.PI);
        ink.fillStyle = upper;
        ink.fill();
        ink.beginPath();
        ink.arc(0, 0, px * 0.4, 0, Math.PI);
        ink.fillStyle = lower;
        ink.fill();
        disc(ink, 0, 0, px * 0.2, "#ffe2a0");
        disc(ink, 0, 0, px * 0.09, "#fff8e0");
      }
      return canvas;
    });
  }
}

function ring(
  ink: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  colour: string,
  ratio: number,
): void {
  ink.beginPath();
  ink.arc(x, y, radius, 0, 2 * Math.PI);
  ink.strokeStyle = colour;
  ink.lineWidth = 2 * ratio;
  ink.stroke();
}

/** A tour bus from above: 11 m by 2.5 m, with an open upper deck. */
function drawBus(
  ink: CanvasRenderingContext2D,
  x: number,
  y: number,
  yaw: number,
  scale: number,
  scene: Scene,
): void {
  if (scale < 0.7) {
    const reach = scale < 0.1 ? 1.6 : 3;
    disc(ink, x, y, reach + 1, rgba(255, 250, 240, 0.7));
    disc(ink, x, y, reach, BUS_RED);
    return;
  }
  const unit = Math.max(scale, 1.5);
  ink.save();
  ink.translate(x, y);
  ink.rotate(yaw);
  ink.scale(unit, unit);
  ink.fillStyle = rgba(24, 20, 44, 0.26);
  ink.beginPath();
  ink.roundRect(-1.1, -5.2, 2.9, 11.2, 0.6);
  ink.fill();
  const { glow } = scene.light;
  ink.fillStyle = BUS_RED;
  ink.beginPath();
  ink.roundRect(-1.45, -5.5, 2.9, 11, 0.7);
  ink.fill();
  ink.fillStyle = "#f3ead6";
  ink.beginPath();
  ink.roundRect(-1.15, -3.2, 2.3, 8.2, 0.4);
  ink.fill();
  ink.fillStyle = "#9fc4d0";
  ink.fillRect(-1.2, -5.1, 2.4, 1.2);
  ink.fillStyle = "#6d8a78";
  for (let row = 0; row < 7; row++) {
    for (const side of [-0.85, 0.3]) ink.fillRect(side, -2.7 + row * 1.1, 0.58, 0.62);
  }
  if (glow > 0.2) {
    ink.globalCompositeOperation = "lighter";
    const beam = ink.createLinearGradient(0, -5.5, 0, -15);
    beam.addColorStop(0, rgba(255, 236, 180, 0.5 * glow));
    beam.addColorStop(1, rgba(255, 236, 180, 0));
    ink.fillStyle = beam;
    ink.beginPath();
    ink.moveTo(-1.2, -5.4);
    ink.lineTo(-3.6, -15);
    ink.lineTo(3.6, -15);
    ink.lineTo(1.2, -5.4);
    ink.fill();
  }
  ink.restore();
}

function makeGlow(): OffscreenCanvas {
  const canvas = sheet(GLOW_PX, GLOW_PX);
  const ink = inkOf(canvas);
  const half = GLOW_PX / 2;
  const light = ink.createRadialGradient(half, half, 0, half, half, half);
  light.addColorStop(0, rgba(255, 214, 130, 0.95));
  light.addColorStop(0.2, rgba(255, 176, 84, 0.5));
  light.addColorStop(0.55, rgba(240, 120, 60, 0.14));
  light.addColorStop(1, rgba(240, 110, 60, 0));
  ink.fillStyle = light;
  ink.fillRect(0, 0, GLOW_PX, GLOW_PX);
  return canvas;
}
