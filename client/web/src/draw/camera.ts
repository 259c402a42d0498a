/** The eye above the city: follows somebody smoothly or looks where it is dragged; zooms from a face to the whole city. */

export const SCALE_MIN = 0.012;
export const SCALE_MAX = 64;
const FOLLOW_S = 0.12;
const ZOOM_S = 0.14;
/** Beyond this the eye does not glide, it is simply there (a teleport). */
const JUMP_M = 600;

export class Camera {
  /** Middle of the picture in metres. */
  east: number;
  north: number;
  /** CSS pixels a metre. */
  scale: number;
  /** CSS pixels of the picture. */
  width = 1;
  height = 1;
  /** Whether it keeps to the person it follows. */
  following = true;
  /** No gliding. */
  still = false;
  private wanted: number;
  /** The picture point that keeps its ground while zooming. */
  private anchor: { x: number; y: number; east: number; north: number } | null = null;

  constructor(east: number, north: number, scale: number) {
    this.east = east;
    this.north = north;
    this.scale = scale;
    this.wanted = scale;
  }

  x(east: number): number {
    return (east - this.east) * this.scale + this.width / 2;
  }

  y(north: number): number {
    return this.height / 2 - (north - this.north) * this.scale;
  }

  eastAt(x: number): number {
    return this.east + (x - this.width / 2) / this.scale;
  }

  northAt(y: number): number {
    return this.north - (y - this.height / 2) / this.scale;
  }

  /** Zooms by a factor about a point of the picture (its middle if none is given or while following). */
  zoom(factor: number, x?: number, y?: number): void {
    this.zoomTo(this.wanted * factor, x, y);
  }

  zoomTo(scale: number, x?: number, y?: number): void {
    this.wanted = Math.min(SCALE_MAX, Math.max(SCALE_MIN, scale));
    this.anchor =
      this.following || x === undefined || y === undefined
        ? null
        : { x, y, east: this.eastAt(x), north: this.northAt(y) };
  }

  get wantedScale(): number {
    return this.wanted;
  }

  get zooming(): boolean {
    return Math.abs(Math.log(this.wanted / this.scale)) > 0.002;
  }

  /** Moves the ground by so many pixels under the eye; stops following. */
  drag(dx: number, dy: number): void {
    this.following = false;
    this.anchor = null;
    this.east -= dx / this.scale;
    this.north += dy / this.scale;
  }

  /** Looks at a point, not following. */
  lookAt(east: number, north: number): void {
    this.following = false;
    this.anchor = null;
    this.east = east;
    this.north = north;
  }

  /** One step of `seconds` towards whom it follows. */
  step(seconds: number, target: { readonly east: number; readonly north: number } | null): void {
    const ease = this.still ? 1 : 1 - Math.exp(-seconds / ZOOM_S);
    this.scale = this.zooming ? this.scale * (this.wanted / this.scale) ** ease : this.wanted;
    if (this.anchor !== null) {
      this.east += this.anchor.east - this.eastAt(this.anchor.x);
      this.north += this.anchor.north - this.northAt(this.anchor.y);
      if (!this.zooming) this.anchor = null;
    }
    if (!this.following || target === null) return;
    const away = Math.hypot(target.east - this.east, target.north - this.north);
    const glide = this.still || away > JUMP_M ? 1 : 1 - Math.exp(-seconds / FOLLOW_S);
    this.east += (target.east - this.east) * glide;
    this.north += (target.north - this.north) * glide;
  }
}
