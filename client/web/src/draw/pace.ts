/** How many device pixels a CSS pixel is drawn with: as many as the screen has up to two, fewer while frames are slow. */

const RATIO_MAX = 2;
const STEP = 0.25;
const FRAMES = 60;
/** A device slower than this a frame gets fewer pixels; there is no way back but a new page, so it never swings. */
const SLOW_MS = 30;
/** A longer gap is a page that was hidden, not a slow frame. */
const HIDDEN_MS = 500;

export class Pace {
  private most = RATIO_MAX;
  private readonly gaps: number[] = [];

  /** The pixels to draw with on a screen that has so many. */
  ratio(screen: number): number {
    return Math.min(screen, this.most);
  }

  /** A frame took `ms`; whether the ratio changed. Never fewer pixels than CSS has. */
  frame(ms: number, screen: number): boolean {
    if (ms > HIDDEN_MS) return false;
    this.gaps.push(ms);
    if (this.gaps.length < FRAMES) return false;
    const middle = this.gaps.sort((a, b) => a - b)[FRAMES / 2];
    this.gaps.length = 0;
    const now = this.ratio(screen);
    if (middle <= SLOW_MS || now <= 1) return false;
    this.most = Math.max(1, now - STEP);
    return true;
  }
}
