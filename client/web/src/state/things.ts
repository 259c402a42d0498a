/** Objects of the regions around, by their id in hex; each region is told of by the node that holds it. */

import { toHex } from "../net/bytes";
import type { WireObject } from "../net/messages";
import type { WorldObject } from "./world";

const CELLS_MAX = 32; // regions whose objects are remembered

export class Things {
  readonly all = new Map<string, WorldObject>();
  version = 0;
  private readonly cells = new Map<number, Set<string>>();

  /** News of one region; `whole` begins it anew. */
  told(cell: number, objects: readonly WireObject[], gone: readonly Uint8Array[], whole: boolean): void {
    if (whole) this.forget(cell);
    const keys = this.cells.get(cell) ?? new Set<string>();
    this.cells.delete(cell); // the latest told of is the last of the map
    this.cells.set(cell, keys);
    for (const object of objects) {
      const key = toHex(object.id);
      for (const others of this.cells.values()) others.delete(key); // regions split and join
      keys.add(key);
      this.all.set(key, {
        key,
        id: object.id,
        kind: object.kind,
        east: object.east_cm / 100,
        north: object.north_cm / 100,
        text: object.text,
        by: object.by,
        count: object.count,
        atMs: object.at_ms,
        pending: object.pending,
      });
    }
    for (const id of gone) {
      const key = toHex(id);
      if (keys.delete(key)) this.all.delete(key);
    }
    for (const oldest of this.cells.keys()) {
      if (this.cells.size <= CELLS_MAX) break;
      this.forget(oldest);
    }
    this.version++;
  }

  clear(): void {
    this.cells.clear();
    this.all.clear();
    this.version++;
  }

  private forget(cell: number): void {
    for (const key of this.cells.get(cell) ?? []) this.all.delete(key);
    this.cells.delete(cell);
  }
}
