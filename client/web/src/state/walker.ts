/**
 * Oneself on foot: where the person steers to, before any node has said so. Moves in whole frames, slides along walls,
 * follows a way around them, and gives the poses to send. Everything it does keeps to the rules by which a node judges:
 * the straight way from the last pose sent to the next crosses no wall and is not longer than one can go.
 */

import type { Pose } from "../net/messages";
import { route } from "./route";
import { NO_WALLS, type Walls } from "./walls";
import { BOW, CLAP, type Me, RIDE, RUN, STAND, WALK, WAVE, WORLD_M } from "./world";

export const WALK_M_S = 2.2;
export const RUN_M_S = 5.5;
const FRAME_MS_MAX = 250; // after a longer pause nobody has walked on
const EMOTE_MS = 2600; // waving, bowing and clapping end by themselves
const REROUTES_MAX = 3;
const TURN = Math.PI * 2;

export type Arrived = "there" | "no way" | "held";

export class Walker {
  readonly me: Me;
  walls: Walls = NO_WALLS;

  /** Whether a bus carries one; then the node says where one is, and one can wave, bow or clap. */
  riding = false;

  private wishEast = 0;
  private wishNorth = 0;
  private running = false;
  private way: number[] = []; // what is left of a walk to a point: metres, flat
  private wayAt = 0;
  private reroutes = 0;
  private emoteMs = Number.POSITIVE_INFINITY;
  private lastMs = Number.NaN;
  private sentEastCm = 0;
  private sentNorthCm = 0;
  private up = 0;
  /** One frame before: what to send first when the straight way to here is blocked. */
  private readonly before = { east: 0, north: 0 };

  constructor(
    id: number,
    pose: Pose,
    private readonly arrived: (how: Arrived) => void,
  ) {
    this.me = { id, east: 0, north: 0, up: 0, yaw: 0, state: STAND, goal: null };
    this.put(pose);
  }

  get moving(): boolean {
    return this.me.state === WALK || this.me.state === RUN;
  }

  /** The node says where one is; a walk to a point goes on from there unless one was taken elsewhere. */
  put(pose: Pose, taken = true): void {
    const { me } = this;
    me.east = pose.east_cm / 100;
    me.north = pose.north_cm / 100;
    me.up = pose.up * 0.04;
    this.up = pose.up;
    this.sentEastCm = pose.east_cm;
    this.sentNorthCm = pose.north_cm;
    this.before.east = me.east;
    this.before.north = me.north;
    const rode = this.riding;
    this.riding = pose.state === RIDE;
    if (taken || rode || this.riding) {
      me.yaw = (pose.yaw / 256) * TURN;
      me.state = pose.state;
      this.stop();
    } else {
      this.reroute();
    }
  }

  /** A bus carries one there. */
  carry(east: number, north: number, up: number, yaw: number): void {
    this.me.east = east;
    this.me.north = north;
    this.me.up = up;
    this.me.yaw = yaw;
    this.sentEastCm = Math.round(east * 100);
    this.sentNorthCm = Math.round(north * 100);
  }

  walk(east: number, north: number, running: boolean): void {
    const length = Math.hypot(east, north);
    if (!Number.isFinite(length)) return;
    if (length > 0) this.forgetWay();
    if (this.riding) return;
    const scale = length > 1 ? 1 / length : 1;
    this.wishEast = east * scale;
    this.wishNorth = north * scale;
    this.running = running;
  }

  walkTo(east: number, north: number, running: boolean): void {
    if (this.riding) return;
    this.wishEast = this.wishNorth = 0;
    this.running = running;
    this.reroutes = 0;
    this.find(clamp(east), clamp(north));
  }

  state(code: number, nowMs: number): void {
    const passes = code === WAVE || code === BOW || code === CLAP;
    if (this.riding && !passes) return;
    this.stop();
    this.me.state = code;
    this.emoteMs = passes ? nowMs + EMOTE_MS : Number.POSITIVE_INFINITY;
  }

  /** On to `nowMs`. */
  advance(nowMs: number): void {
    const pastMs = Math.min(Math.max(nowMs - this.lastMs, 0), FRAME_MS_MAX);
    this.lastMs = nowMs;
    const { me } = this;
    if (!pastMs) return;
    if (nowMs >= this.emoteMs) {
      this.emoteMs = Number.POSITIVE_INFINITY;
      me.state = this.riding ? RIDE : STAND;
    }
    if (this.riding) return;
    let east = this.wishEast;
    let north = this.wishNorth;
    let most = Number.POSITIVE_INFINITY;
    if (this.wayAt < this.way.length) {
      east = (this.way[this.wayAt] as number) - me.east;
      north = (this.way[this.wayAt + 1] as number) - me.north;
      most = Math.hypot(east, north);
      east /= most || 1;
      north /= most || 1;
    }
    const speed = this.running ? RUN_M_S : WALK_M_S;
    const step = Math.min((speed * pastMs) / 1000, most);
    if ((east || north) && step > 0) {
      me.yaw = Math.atan2(east, north);
      me.state = this.running ? RUN : WALK;
      this.emoteMs = Number.POSITIVE_INFINITY;
      this.before.east = me.east;
      this.before.north = me.north;
      const went = this.go(east * step, north * step);
      if (!went && me.goal) this.reroute();
    } else if (this.moving) {
      me.state = STAND;
    }
    if (me.goal && most <= step + 0.005) {
      this.wayAt += 2;
      if (this.wayAt >= this.way.length) this.end("there");
    }
  }

  /**
   * The pose to send now: here, or where one was a frame before if the straight way from the last one sent to here is
   * blocked (around a corner).
   */
  next(): Pose {
    if (this.cut()) {
      this.sentEastCm = Math.round(this.before.east * 100);
      this.sentNorthCm = Math.round(this.before.north * 100);
      return { ...this.pose(), east_cm: this.sentEastCm, north_cm: this.sentNorthCm };
    }
    const pose = this.pose();
    this.sentEastCm = pose.east_cm;
    this.sentNorthCm = pose.north_cm;
    return pose;
  }

  /** Whether the straight way from the last pose sent to here is blocked: a pose must be sent at once. */
  cut(): boolean {
    if (this.riding) return false;
    const { east_cm, north_cm } = this.pose();
    return this.walls.blocked(this.sentEastCm, this.sentNorthCm, east_cm, north_cm);
  }

  /** Where one is, as the wire has it. */
  pose(): Pose {
    const { me } = this;
    return {
      east_cm: Math.round(me.east * 100),
      north_cm: Math.round(me.north * 100),
      up: this.riding ? Math.round(me.up / 0.04) : this.up,
      yaw: Math.round((me.yaw / TURN) * 256) & 255,
      state: me.state,
    };
  }

  /** Moves by so many metres, or along the wall in the way; whether one came anywhere. */
  private go(east: number, north: number): boolean {
    const { me } = this;
    if (this.free(east, north)) return this.move(east, north);
    const along = this.walls.along(
      Math.round(me.east * 100),
      Math.round(me.north * 100),
      Math.round((me.east + east) * 100),
      Math.round((me.north + north) * 100),
    );
    if (!along || me.goal) return false;
    const share = along[0] * east + along[1] * north;
    if (Math.abs(share) > 0.002 && this.free(along[0] * share, along[1] * share))
      return this.move(along[0] * share, along[1] * share);
    return false;
  }

  private free(east: number, north: number): boolean {
    const { me } = this;
    return !this.walls.blocked(
      Math.round(me.east * 100),
      Math.round(me.north * 100),
      Math.round(clamp(me.east + east) * 100),
      Math.round(clamp(me.north + north) * 100),
    );
  }

  private move(east: number, north: number): boolean {
    this.me.east = clamp(this.me.east + east);
    this.me.north = clamp(this.me.north + north);
    return true;
  }

  /** Something is in the way: looks for another, a few times. */
  private reroute(): void {
    const { goal } = this.me;
    if (!goal) return;
    if (++this.reroutes > REROUTES_MAX) this.end("held");
    else this.find(goal.east, goal.north);
  }

  private find(east: number, north: number): void {
    const { me } = this;
    const found = route(this.walls, cm(me.east), cm(me.north), cm(east), cm(north));
    if (!found) {
      this.end("no way");
      return;
    }
    this.way = found.map((one) => one / 100);
    this.wayAt = 0;
    me.goal = { east, north };
  }

  private end(how: Arrived): void {
    this.stop();
    if (this.moving) this.me.state = STAND;
    this.arrived(how);
  }

  private stop(): void {
    this.wishEast = this.wishNorth = 0;
    this.forgetWay();
  }

  private forgetWay(): void {
    this.way.length = 0;
    this.wayAt = 0;
    this.me.goal = null;
  }
}

function cm(metres: number): number {
  return Math.round(metres * 100);
}

function clamp(metres: number): number {
  return Math.min(Math.max(metres, 0), WORLD_M - 0.01);
}
