/** Who carries which ground: lines between regions, and what happened between two looks at the map. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Camera } from "../src/draw/camera";
import { changesOf, edgesOf, type Region, readCarriers, readGround } from "../src/state/regions";

/** A region by its quadkey, below a root of 64 m. */
function region(key: string, holder: string | null, more: Partial<Region> = {}): Region {
  let [west, south, side] = [0, 0, 64];
  for (const digit of key) {
    side /= 2;
    west += digit === "1" || digit === "3" ? side : 0;
    south += digit === "2" || digit === "3" ? side : 0;
  }
  const bounds = { west, south, east: west + side, north: south + side };
  return { key, ...bounds, holder, wish: null, to: null, pinned: false, ...more };
}

const FOUR = ["0", "1", "2", "3"];
const BOTH = new Set(["a", "b"]);

test("every line between two regions is there once, and says who holds its sides", () => {
  const regions = [
    region("0", "a"),
    region("1", "b"),
    region("2", "a"),
    ...FOUR.map((part) => region(`3${part}`, part === "0" ? "a" : "b")),
  ];
  const edges = edgesOf(regions);
  // a slow twin: every pair of regions that share a piece of a side
  const told = new Set(edges.map((edge) => JSON.stringify(edge)));
  const wanted = new Set<string>();
  for (const one of regions)
    for (const other of regions) {
      const south = Math.max(one.south, other.south);
      const north = Math.min(one.north, other.north);
      if (one.east === other.west && south < north)
        wanted.add(
          JSON.stringify({
            upright: true,
            at: one.east,
            from: south,
            to: north,
            before: one.holder,
            after: other.holder,
          }),
        );
      const west = Math.max(one.west, other.west);
      const east = Math.min(one.east, other.east);
      if (one.north === other.south && west < east)
        wanted.add(
          JSON.stringify({
            upright: false,
            at: one.north,
            from: west,
            to: east,
            before: one.holder,
            after: other.holder,
          }),
        );
    }
  assert.equal(edges.length, wanted.size);
  assert.deepEqual(told, wanted);
});

test("a cut and a merger are one change each, however many parts there are", () => {
  const whole = [region("0", "a"), region("1", "b")];
  const parts = [...FOUR.map((part) => region(`0${part}`, "a")), region("1", "b")];
  assert.deepEqual(
    changesOf(whole, parts, BOTH, BOTH).map((change) => change.kind),
    ["cut"],
  );
  const [merged, ...more] = changesOf(parts, whole, BOTH, BOTH);
  assert.deepEqual(more, []);
  assert(merged.kind === "merged" && merged.region.key === "0");
  assert.deepEqual(changesOf(whole, whole, BOTH, BOTH), []);
});

test("ground that goes to another node is told apart from ground whose node has gone", () => {
  const before = [region("0", "a"), region("1", "b"), region("2", "b"), region("3", null)];
  const moved = [region("0", "b"), ...before.slice(1)];
  const [move, ...none] = changesOf(before, moved, BOTH, BOTH);
  assert.deepEqual(none, []);
  assert(move.kind === "moved" && move.from === "a" && move.to === "b" && move.region.key === "0");
  const after = [region("0", "a"), region("1", "a"), region("2", null), region("3", null)];
  assert.deepEqual(changesOf(before, after, BOTH, new Set(["a"])), [
    { kind: "gone", node: "b", heirs: ["a"], regions: 2 },
  ]);
  assert.deepEqual(changesOf(after, after, new Set(["a"]), BOTH), [{ kind: "came", node: "b" }]);
});

test("what an older node does not tell is unknown, and nodes without a name go by their key", () => {
  const bounds = { west: 920_010, south: 1_920_020, east: 920_030, north: 1_920_040 };
  const ground = readGround({ map_version: 7, regions: [{ cell: "0", bounds, holder: null }] });
  assert.deepEqual(ground, {
    version: 7,
    regions: [{ ...region("0", null), west: 10, south: 20, east: 30, north: 40 }],
  });
  const plain = { self: false, cells: 1, load: null };
  const nodes = [
    { ...plain, node: "ff".repeat(32), name: "node-10" },
    { ...plain, node: "ee".repeat(32), name: "node-9", people: { "0": 3 }, load: { busy: 0.5 } },
    { ...plain, node: "12".repeat(32) },
  ];
  const known = new Map<string, string>();
  const { carriers } = readCarriers({ map_version: 7, nodes }, known);
  assert.deepEqual(
    carriers.map(({ name, busy, people }) => [name, busy, people?.get("0")]),
    [
      ["12121212", null, undefined],
      ["node-9", 0.5, 3],
      ["node-10", null, undefined],
    ],
  );
  // a node that has started again, and has not said its name yet
  const again = readCarriers(
    { map_version: 8, nodes: [{ ...plain, node: "ff".repeat(32), name: "" }] },
    known,
  );
  assert.equal(again.carriers[0].name, "node-10");
});

/** A canvas on which nothing is seen: all that a painter may ask of it. */
class Blank {
  constructor(
    public width: number,
    public height: number,
  ) {}

  getContext(): CanvasRenderingContext2D {
    const answers: Record<string | symbol, unknown> = { canvas: this };
    return new Proxy(answers, {
      get: (known, name) =>
        name in known ? known[name] : name === "measureText" ? () => ({ width: 40 }) : () => null,
      set: () => true,
    }) as unknown as CanvasRenderingContext2D;
  }
}

test("the layer is painted when the map, the counts or the hour change, not with every frame or step", async () => {
  Object.assign(globalThis, { OffscreenCanvas: Blank, localStorage: { getItem: () => "en" } });
  const { RegionLayer } = await import("../src/draw/regions");
  const ink = new Blank(800, 600).getContext();
  const camera = new Camera(32, 32, 4);
  camera.width = 800;
  camera.height = 600;
  const layer = new RegionLayer();
  const regions = FOUR.map((part) => region(part, part < "2" ? "a" : "b"));
  const slots = new Map([...BOTH].map((node, slot) => [node, slot]));
  let version = 1;
  let night = false;
  const frames = (count: number, step: () => void = () => undefined): number => {
    const before = layer.painted;
    for (let i = 0; i < count; i++) {
      step();
      const picture = { version, regions, carriers: new Map(), slots, flashes: [] };
      layer.draw(ink, picture, camera, 1, night, false, i);
    }
    return layer.painted - before;
  };
  frames(2);
  assert.equal(frames(60), 0);
  assert.equal(
    frames(60, () => {
      camera.east += 0.15; // on foot
    }),
    0,
  );
  version += 1;
  assert.equal(frames(60), 1);
  night = true;
  assert.equal(frames(60), 1);
  // while one zooms what is painted is stretched, and painted anew when the eye rests
  assert(
    frames(10, () => {
      camera.scale *= 1.03;
    }) <= 1,
  );
  assert.equal(frames(60), 1);
  camera.lookAt(5_000, 5_000);
  assert.equal(frames(60), 1);
});
