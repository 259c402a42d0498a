/** Hands on the world: keys, mouse, touch and gamepad become directions to walk, ways to look, and presses. */

import type { Camera } from "../draw/camera";
import type { World } from "../state/world";
import { typing } from "./dom";

const TAP_PX = 8;
const TAP_MS = 450;
/** A touch that begins this near to oneself steers; one farther away drags the city. */
const STEER_PX = 70;
const DEAD = 0.2;

const WAY: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  KeyW: [0, 1],
  KeyS: [0, -1],
  KeyA: [-1, 0],
  KeyD: [1, 0],
};

export interface Hands {
  /** A short press on the picture, in CSS pixels. */
  press(x: number, y: number): void;
  /** A key that is not for walking; true if it did something. */
  key(event: KeyboardEvent): boolean;
  /** Any gesture at all. */
  woken(): void;
}

interface Finger {
  x: number;
  y: number;
  readonly startX: number;
  readonly startY: number;
  readonly startMs: number;
  readonly steers: boolean;
  moved: boolean;
}

export class Input {
  private readonly held = new Set<string>();
  private readonly fingers = new Map<number, Finger>();
  private running = false;
  private told = "0,0,false";

  constructor(
    private readonly picture: HTMLElement,
    private readonly world: World,
    private readonly camera: Camera,
    private readonly hands: Hands,
  ) {
    addEventListener("keydown", (event) => this.down(event));
    addEventListener("keyup", (event) => {
      this.held.delete(event.code);
      this.running = event.shiftKey;
    });
    addEventListener("blur", () => this.held.clear());
    picture.addEventListener("pointerdown", (event) => this.touch(event));
    picture.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"] as const)
      picture.addEventListener(end, (event) => this.lift(event));
    picture.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        camera.zoom(
          Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0016)),
          event.offsetX,
          event.offsetY,
        );
      },
      { passive: false },
    );
  }

  /** Once a frame: tells the world the direction wanted, when it changed. */
  step(): void {
    let east = 0;
    let north = 0;
    let running = this.running;
    for (const code of this.held) {
      const way = WAY[code];
      if (way === undefined) continue;
      east += way[0];
      north += way[1];
    }
    for (const pad of navigator.getGamepads?.() ?? []) {
      if (pad === null) continue;
      const [x = 0, y = 0] = pad.axes;
      if (Math.hypot(x, y) > DEAD) {
        east += x;
        north -= y;
      }
      if (pad.buttons[0]?.pressed || pad.buttons[7]?.pressed) running = true;
    }
    if (this.fingers.size === 1) {
      const [finger] = this.fingers.values();
      if (finger.steers && finger.moved) {
        const dx = finger.x - this.camera.width / 2;
        const dy = finger.y - this.camera.height / 2;
        const reach = Math.hypot(dx, dy);
        if (reach > 18) {
          east = dx / reach;
          north = -dy / reach;
          running = reach > 150;
        }
      }
    }
    const length = Math.hypot(east, north);
    if (length > 1) {
      east /= length;
      north /= length;
    }
    const now = `${east.toFixed(2)},${north.toFixed(2)},${running && length > 0}`;
    if (now === this.told) return;
    this.told = now;
    if (length > 0) this.camera.following = true;
    this.world.walk(east, north, running);
  }

  private down(event: KeyboardEvent): void {
    this.hands.woken();
    // a key that closed what was being written is done with: it is not also a key of the map
    if (event.defaultPrevented || event.isComposing || typing()) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    this.running = event.shiftKey;
    if (document.querySelector("dialog[open]") !== null) return;
    const inList =
      document.activeElement?.getAttribute("role") === "log" ||
      document.activeElement?.closest(".panel") !== null;
    if (event.code in WAY && !(inList && event.code.startsWith("Arrow"))) {
      this.held.add(event.code);
      if (event.code.startsWith("Arrow")) event.preventDefault();
      return;
    }
    if (!event.repeat && this.hands.key(event)) event.preventDefault();
  }

  private touch(event: PointerEvent): void {
    this.hands.woken();
    if (event.button !== 0) return;
    this.picture.setPointerCapture(event.pointerId);
    const near =
      Math.hypot(event.offsetX - this.camera.width / 2, event.offsetY - this.camera.height / 2) < STEER_PX;
    this.fingers.set(event.pointerId, {
      x: event.offsetX,
      y: event.offsetY,
      startX: event.offsetX,
      startY: event.offsetY,
      startMs: event.timeStamp,
      steers: event.pointerType !== "mouse" && near && this.camera.following,
      moved: false,
    });
  }

  private move(event: PointerEvent): void {
    const finger = this.fingers.get(event.pointerId);
    if (finger === undefined) return;
    const dx = event.offsetX - finger.x;
    const dy = event.offsetY - finger.y;
    if (!finger.moved && Math.hypot(event.offsetX - finger.startX, event.offsetY - finger.startY) > TAP_PX)
      finger.moved = true;
    const others = [...this.fingers.values()].filter((other) => other !== finger);
    finger.x = event.offsetX;
    finger.y = event.offsetY;
    if (!finger.moved) return;
    if (others.length === 1) {
      const other = others[0];
      const before = Math.hypot(finger.x - dx - other.x, finger.y - dy - other.y);
      const after = Math.hypot(finger.x - other.x, finger.y - other.y);
      other.moved = true;
      if (before > 1) this.camera.zoom(after / before, (finger.x + other.x) / 2, (finger.y + other.y) / 2);
      if (!this.camera.following) this.camera.drag(dx / 2, dy / 2);
    } else if (!finger.steers) {
      this.camera.drag(dx, dy);
    }
  }

  private lift(event: PointerEvent): void {
    const finger = this.fingers.get(event.pointerId);
    this.fingers.delete(event.pointerId);
    if (finger === undefined || finger.moved || event.type === "pointercancel") return;
    if (event.timeStamp - finger.startMs < TAP_MS) this.hands.press(event.offsetX, event.offsetY);
  }
}
