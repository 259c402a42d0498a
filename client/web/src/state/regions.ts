/** Who carries which ground, as a node tells it: regions, nodes, the lines between them, and what has just changed. */

/** EPSG:5179 metres of the root's south-west corner, which regions are told in. */
const ROOT = { east: 920_000, north: 1_920_000 };

export interface Region {
  /** Its quadkey: that of a part begins with that of the whole. */
  readonly key: string;
  /** Metres from the root's corner. */
  readonly west: number;
  readonly south: number;
  readonly east: number;
  readonly north: number;
  /** Hex of the node's key, or null when nobody holds it. */
  readonly holder: string | null;
  /** `move`, `split`, `cut` or `merge`: what is to become of it. */
  readonly wish: string | null;
  /** The node it is to go to. */
  readonly to: string | null;
  readonly pinned: boolean;
}

export interface Carrier {
  /** Hex of its key. */
  readonly node: string;
  readonly name: string;
  /** It serves this page. */
  readonly self: boolean;
  readonly draining: boolean;
  readonly regions: number;
  /** How much of its time it is busy, 0..1; null: not known. */
  readonly busy: number | null;
  /** Who stands in which region, by quadkey; null: not known. */
  readonly people: ReadonlyMap<string, number> | null;
}

/** A stretch of border: `at` is its east (`upright`) or north, it runs `from` … `to`; who holds the ground on its sides. */
export interface Edge {
  readonly upright: boolean;
  readonly at: number;
  readonly from: number;
  readonly to: number;
  /** West of it or south of it. */
  readonly before: string | null;
  /** East of it or north of it. */
  readonly after: string | null;
}

export type Change =
  | { readonly kind: "cut" | "merged"; readonly region: Region }
  | { readonly kind: "moved"; readonly region: Region; readonly from: string; readonly to: string }
  | {
      readonly kind: "gone";
      readonly node: string;
      readonly heirs: readonly string[];
      readonly regions: number;
    }
  | { readonly kind: "came"; readonly node: string };

export interface Ground {
  readonly version: number;
  readonly regions: readonly Region[];
}

interface ToldRegion {
  cell: string;
  bounds: { west: number; south: number; east: number; north: number };
  holder: string | null;
  wish?: string | null;
  to?: string | null;
  pinned?: boolean;
}

interface ToldNode {
  node: string;
  name?: string;
  self: boolean;
  draining?: boolean;
  cells: number;
  load: { busy: number } | null;
  people?: Record<string, number> | null;
}

/** Reads `/api/v1/regions`. */
export function readGround(told: unknown): Ground {
  const { map_version, regions } = told as { map_version: number; regions: ToldRegion[] };
  return {
    version: map_version,
    regions: regions.map(({ cell, bounds, holder, wish, to, pinned }) => ({
      key: cell,
      west: bounds.west - ROOT.east,
      east: bounds.east - ROOT.east,
      south: bounds.south - ROOT.north,
      north: bounds.north - ROOT.north,
      holder,
      wish: wish ?? null,
      to: to ?? null,
      pinned: pinned ?? false,
    })),
  };
}

/**
 * Reads `/api/v1/nodes`, in the order of the nodes' names. A node that has just come has told none yet: it goes by the one
 * in `known`, which is kept up, or else by the start of its key.
 */
export function readCarriers(
  told: unknown,
  known: Map<string, string>,
): { version: number; carriers: Carrier[] } {
  const { map_version, nodes } = told as { map_version: number; nodes: ToldNode[] };
  for (const { node, name } of nodes) if (name) known.set(node, name);
  const carriers = nodes.map(({ node, self, draining, cells, load, people }) => ({
    node,
    name: known.get(node) ?? node.slice(0, 8),
    self,
    draining: draining ?? false,
    regions: cells,
    busy: load === null ? null : load.busy,
    people: people ? new Map(Object.entries(people)) : null,
  }));
  carriers.sort(
    (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }) || (a.node < b.node ? -1 : 1),
  );
  return { version: map_version, carriers };
}

/** All the lines between regions, each once; what borders on no region has none there. */
export function edgesOf(regions: readonly Region[]): Edge[] {
  return [
    ...edgesAlong(regions, true, (r) => [r.west, r.east, r.south, r.north]),
    ...edgesAlong(regions, false, (r) => [r.south, r.north, r.west, r.east]),
  ];
}

function edgesAlong(
  regions: readonly Region[],
  upright: boolean,
  sides: (region: Region) => [number, number, number, number],
): Edge[] {
  type Side = { from: number; to: number; holder: string | null };
  const lines = new Map<number, { before: Side[]; after: Side[] }>();
  const line = (at: number): { before: Side[]; after: Side[] } => {
    let found = lines.get(at);
    if (found === undefined) {
      found = { before: [], after: [] };
      lines.set(at, found);
    }
    return found;
  };
  for (const region of regions) {
    const [low, high, from, to] = sides(region);
    line(low).after.push({ from, to, holder: region.holder });
    line(high).before.push({ from, to, holder: region.holder });
  }
  const edges: Edge[] = [];
  for (const [at, { before, after }] of lines) {
    before.sort((a, b) => a.from - b.from);
    after.sort((a, b) => a.from - b.from);
    for (let i = 0, j = 0; i < before.length && j < after.length; ) {
      const from = Math.max(before[i].from, after[j].from);
      const to = Math.min(before[i].to, after[j].to);
      if (from < to) edges.push({ upright, at, from, to, before: before[i].holder, after: after[j].holder });
      if (before[i].to < after[j].to) i += 1;
      else j += 1;
    }
  }
  return edges;
}

/** What happened between two looks, given the nodes there were and there are. */
export function changesOf(
  old: readonly Region[],
  now: readonly Region[],
  were: ReadonlySet<string>,
  are: ReadonlySet<string>,
): Change[] {
  const before = new Map(old.map((region) => [region.key, region]));
  const after = new Map(now.map((region) => [region.key, region]));
  const changes: Change[] = [];
  const inherited = new Map<string, Set<string>>();
  const lost = new Map<string, number>();
  for (const region of old) {
    const then = after.get(region.key);
    if (region.holder !== null && were.has(region.holder) && !are.has(region.holder)) {
      lost.set(region.holder, (lost.get(region.holder) ?? 0) + 1);
      const heir = then?.holder ?? null;
      if (heir !== null) inherited.set(region.holder, (inherited.get(region.holder) ?? new Set()).add(heir));
    } else if (then === undefined) {
      if (now.some((part) => part.key.startsWith(region.key))) changes.push({ kind: "cut", region });
    } else if (region.holder !== null && then.holder !== null && then.holder !== region.holder) {
      changes.push({ kind: "moved", region: then, from: region.holder, to: then.holder });
    }
  }
  for (const region of now) {
    if (before.has(region.key)) continue;
    if (old.some((part) => part.key.startsWith(region.key))) changes.push({ kind: "merged", region });
  }
  for (const node of were) {
    if (are.has(node)) continue;
    const heirs = [...(inherited.get(node) ?? [])];
    changes.push({ kind: "gone", node, heirs, regions: lost.get(node) ?? 0 });
  }
  for (const node of are) if (!were.has(node)) changes.push({ kind: "came", node });
  return changes;
}
