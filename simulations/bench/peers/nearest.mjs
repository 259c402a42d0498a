/**
 * The K nearest of every avatar, by a grid that is laid anew each tick: what both peers show their clients.
 *
 * Cells are about as wide as the K nearest reach, and sorted by row, so a search reads three runs of one array; it
 * widens ring by ring until nobody outside can be nearer. The answer is exact, save for the order of equals.
 */

const CANDIDATES_A_CELL = 11; // so that three by three cells hold three times the 32 that are looked for
const INDEX_SPAN = 8192; // a key is the squared distance times this, plus the index; exact below 2^53
const MAX_CELLS = 1 << 16;

export class Nearest {
  /**
   * @param {number} capacity most avatars at once, below INDEX_SPAN
   * @param {number} k how many are looked for
   * @param {number} radiusCm how far
   */
  constructor(capacity, k, radiusCm) {
    if (capacity > INDEX_SPAN) throw new RangeError(`at most ${INDEX_SPAN} avatars`);
    this.k = k;
    this.radiusCm = radiusCm;
    this.cellOf = new Int32Array(capacity);
    this.sorted = new Int32Array(capacity);
    this.keys = new Float64Array(capacity);
    this.starts = new Int32Array(MAX_CELLS + 1);
  }

  /**
   * Lays the grid over `count` avatars; positions must stay as they are until the last search of this tick.
   * @param {number} count
   * @param {Int32Array} east cm
   * @param {Int32Array} north cm
   */
  lay(count, east, north) {
    let left = Infinity;
    let right = -Infinity;
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < count; i++) {
      left = Math.min(left, east[i]);
      right = Math.max(right, east[i]);
      low = Math.min(low, north[i]);
      high = Math.max(high, north[i]);
    }
    const width = Math.max(1, right - left);
    const height = Math.max(1, high - low);
    let side = Math.min(this.radiusCm, Math.sqrt((CANDIDATES_A_CELL * width * height) / Math.max(1, count)));
    side = Math.max(side, width / 250, height / 250, 1); // at most 251 by 251 cells
    const columns = Math.floor(width / side) + 1;
    const rows = Math.floor(height / side) + 1;
    Object.assign(this, { count, east, north, left, low, side, columns, rows });

    const { cellOf, sorted, starts } = this;
    starts.fill(0, 0, columns * rows + 1);
    for (let i = 0; i < count; i++) {
      const cell = Math.floor((north[i] - low) / side) * columns + Math.floor((east[i] - left) / side);
      cellOf[i] = cell;
      starts[cell + 1]++;
    }
    for (let cell = 0; cell < columns * rows; cell++) starts[cell + 1] += starts[cell];
    for (let i = count - 1; i >= 0; i--) sorted[--starts[cellOf[i] + 1]] = i;
    // each start has moved one cell down: shift back
    starts.copyWithin(0, 1, columns * rows + 1);
    starts[columns * rows] = count;
  }

  /**
   * Writes the nearest of avatar `self`, itself left out, into `found`.
   * @param {number} self
   * @param {Int32Array} found at least k long
   * @returns {number} how many
   */
  search(self, found) {
    const { east, north, left, low, side, columns, rows, starts, sorted, keys, k, radiusCm } = this;
    const e = east[self];
    const n = north[self];
    const column = Math.floor((e - left) / side);
    const row = Math.floor((n - low) / side);
    const most = radiusCm * radiusCm;
    for (let ring = 1; ; ring++) {
      const first = Math.max(0, column - ring);
      const last = Math.min(columns - 1, column + ring);
      const rowEnd = Math.min(rows - 1, row + ring);
      let near = 0;
      for (let r = Math.max(0, row - ring); r <= rowEnd; r++) {
        const end = starts[r * columns + last + 1];
        for (let at = starts[r * columns + first]; at < end; at++) {
          const i = sorted[at];
          const de = east[i] - e;
          const dn = north[i] - n;
          const square = de * de + dn * dn;
          if (square <= most && i !== self) keys[near++] = square * INDEX_SPAN + i;
        }
      }
      const inside = Math.min(
        e - (left + (column - ring) * side),
        left + (column + ring + 1) * side - e,
        n - (low + (row - ring) * side),
        low + (row + ring + 1) * side - n,
      ); // nobody nearer than this is outside
      const whole = first === 0 && last === columns - 1 && row <= ring && rowEnd === rows - 1;
      const done = whole || inside >= radiusCm;
      if (near > k) selectSmallest(keys, near, k);
      const count = Math.min(near, k);
      if (!done && (near < k || greatest(keys, k) >= inside * inside * INDEX_SPAN)) continue;
      for (let j = 0; j < count; j++) found[j] = keys[j] % INDEX_SPAN;
      return count;
    }
  }
}

/** The greatest of the first `count` keys. */
function greatest(keys, count) {
  let most = 0;
  for (let i = 0; i < count; i++) if (keys[i] > most) most = keys[i];
  return most;
}

/** Brings the `k` smallest of the first `count` keys to the front, in any order (Hoare's selection). */
function selectSmallest(keys, count, k) {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const pivot = keys[(low + high) >> 1];
    let i = low;
    let j = high;
    while (i <= j) {
      while (keys[i] < pivot) i++;
      while (keys[j] > pivot) j--;
      if (i <= j) {
        const key = keys[i];
        keys[i++] = keys[j];
        keys[j--] = key;
      }
    }
    if (k - 1 <= j) high = j;
    else if (k - 1 >= i) low = i;
    else return;
  }
}
