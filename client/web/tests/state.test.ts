/** What is drawn between two words, who fades, what a crowd is counted as, and where one can walk. */

import assert from "node:assert/strict";
import { test } from "node:test";
import vectors from "../../../tests/vectors/walls.json";
import { DensityFrame, encodePose, PosesFrame } from "../src/net/frames";
import { Outgoing, People } from "../src/state/asking";
import { CityTime, Clock, Tempo } from "../src/state/clock";
import { Crowd, fadesAfterMs } from "../src/state/crowd";
import { Densities } from "../src/state/density";
import { readPlaces } from "../src/state/places";
import { route } from "../src/state/route";
import { Things } from "../src/state/things";
import { Walker } from "../src/state/walker";
import { type Segment, Walls } from "../src/state/walls";
import { RIDE, SIT, STAND, WALK, WAVE } from "../src/state/world";

const NOBODY: ReadonlySet<number> = new Set();

/** A frame with these people: [id, metres east, metres north, yaw in 256ths]. */
function frame(tMs: number, ...rows: readonly (readonly [number, number, number, number?])[]): PosesFrame {
  const made = new PosesFrame();
  made.tMs = tMs;
  made.count = rows.length;
  rows.forEach(([id, east, north, yaw = 0], i) => {
    made.ids[i] = id;
    made.east[i] = east;
    made.north[i] = north;
    made.yaw[i] = yaw;
    made.state[i] = WALK;
  });
  return made;
}

test("somebody who walks evenly is drawn evenly, however unevenly the words come", () => {
  const crowd = new Crowd();
  const jitter = [0, 40, 10, 60, 5, 0, 70, 30, 20, 0];
  const seen: number[] = [];
  let told = 0;
  for (let now = 1000; now < 2000; now += 10) {
    while (told < 10 && 1000 + 100 * told + (jitter[told] as number) <= now) {
      crowd.take(frame(100 * told, [7, 100 + told, 50]), 1000 + 100 * told, now, 100);
      told++;
    }
    crowd.draw(now, 0, NOBODY);
    if (now >= 1250) seen.push(crowd.east[0] as number);
  }
  for (let i = 1; i < seen.length; i++)
    assert(Math.abs((seen[i] as number) - (seen[i - 1] as number) - 0.1) < 1e-6, `step ${i}`);
});

test("a late word: on for a period, then stand; a jump is a jump; yaw takes the short way", () => {
  const crowd = new Crowd();
  crowd.take(frame(0, [7, 100, 50, 250]), 1000, 1000, 100);
  crowd.take(frame(100, [7, 101, 50, 6]), 1100, 1100, 100);
  crowd.draw(1200, 0, NOBODY);
  assert(Math.abs((crowd.east[0] as number) - 100.5) < 1e-6);
  assert(Math.abs(Math.sin(crowd.yaw[0] as number)) < 0.01, "half way from 250 to 6 is north");
  for (const [now, east] of [
    [1300, 101.5],
    [1350, 102],
    [1900, 102],
  ] as const) {
    crowd.draw(now, 0, NOBODY);
    assert(Math.abs((crowd.east[0] as number) - east) < 1e-6, `${now}`);
  }
  crowd.take(frame(300, [7, 900, 50]), 1300, 1950, 100);
  crowd.draw(1951, 0, NOBODY);
  assert.equal(crowd.east[0], 900);
});

test("who is not told of for a second fades and is forgotten; oneself and the hidden are not drawn", () => {
  const crowd = new Crowd();
  crowd.take(frame(0, [7, 1, 1], [8, 2, 2], [9, 3, 3]), 1000, 1000, 100);
  crowd.draw(1990, 8, new Set([9]));
  assert.deepEqual([crowd.count, crowd.ids[0], crowd.fade[0]], [1, 7, 1]);
  assert(crowd.mine.told);
  crowd.draw(2200, 8, NOBODY);
  const fade = crowd.fade[0] as number;
  assert(fade > 0 && fade < 1);
  crowd.draw(2500, 8, NOBODY);
  assert.equal(crowd.count, 0);
  crowd.take(frame(0, [7, 1, 1]), 3000, 3000, 100);
  crowd.draw(3000, 8, NOBODY);
  assert.equal(crowd.count, 1);
});

test("whoever is missed for three words of their tier fades, and is gone by three seconds", () => {
  for (const tickMs of [50, 100, 200, 500]) {
    for (const ticks of [1, 2, 5]) {
      for (const still of [true, false]) {
        const after = fadesAfterMs(ticks, tickMs, still);
        assert(after > ticks * tickMs, "never before the next word is due");
        assert(after >= Math.min(1000, 3 * ticks * tickMs));
        if (3 * ticks * tickMs <= 2600) assert(after >= Math.max(1000, 3 * ticks * tickMs));
        if (ticks * tickMs < 2000) assert(after + 400 <= 3000, `${ticks} ticks of ${tickMs} ms`);
        if (still && ticks > 1) assert(after > 2000, "one word a second may be missed once");
      }
    }
  }
});

test("those far away who stand still are told of once a second, and do not flicker", () => {
  const crowd = new Crowd();
  const told = (ms: number, tier: number, east: number): void => {
    const word = frame(ms, [7, east, 50]);
    word.tier = tier;
    crowd.take(word, ms, ms, 100);
  };
  for (let ms = 0; ms < 10_000; ms += 100) {
    if (ms % 1000 === 0) told(ms, 2, 5);
    crowd.draw(ms, 0, NOBODY);
    if (ms > 500) assert.deepEqual([crowd.count, crowd.fade[0]], [1, 1], `${ms}`);
  }
  // two words missed: gone by three seconds
  crowd.draw(9000 + 2900, 0, NOBODY);
  assert.equal(crowd.count, 0);
  // who walks in the same tier is missed sooner
  told(20_000, 1, 5);
  told(20_200, 1, 6);
  crowd.draw(21_100, 0, NOBODY);
  assert.equal(crowd.fade[0], 1);
  crowd.draw(21_400, 0, NOBODY);
  assert((crowd.fade[0] as number) < 1);
  crowd.draw(21_700, 0, NOBODY);
  assert.equal(crowd.count, 0);
});

test("when a node ticks slower nobody steps back, and they move evenly again", () => {
  const crowd = new Crowd();
  const tempo = new Tempo(100);
  let told = 0;
  let before = Number.NEGATIVE_INFINITY;
  const steps: number[] = [];
  for (let now = 0; now < 14_000; now += 10) {
    const tick = now < 2000 ? 100 : 500;
    if (now >= told) {
      tempo.heard(told);
      crowd.take(frame(told, [7, told / 1000, 50]), told, now, tempo.tickMs);
      told += tick;
    }
    crowd.draw(now, 0, NOBODY);
    const east = crowd.east[0] as number;
    if (now > 300) assert(east >= before - 1e-9, `${now}: back from ${before} to ${east}`);
    steps.push(east - before);
    before = east;
    assert.equal(crowd.count, 1);
    if (now > 500) assert.equal(crowd.fade[0], 1, `${now}`);
  }
  for (const step of steps.slice(-200)) assert(Math.abs(step - 0.01) < 1e-6, `${step}`);
});

test("a tick is as long as the gaps between frames, or as the node says, whichever is the later word", () => {
  const tempo = new Tempo(100);
  const first = 2 ** 32 - 250;
  for (let i = 0; i < 4; i++) tempo.heard((first + 100 * i) >>> 0);
  assert.equal(tempo.tickMs, 100);
  for (const ms of [600, 800, 1000, 1300, 1500]) tempo.heard((first + ms) >>> 0);
  assert.equal(tempo.tickMs, 200, "through the counter's turn, one frame left out");
  tempo.said(500);
  assert.equal(tempo.tickMs, 500);
});

test("a thousand come and go, and the columns do not grow with them", () => {
  const crowd = new Crowd();
  for (let round = 0; round < 20; round++) {
    const rows = Array.from({ length: 600 }, (_, i) => [1 + round * 600 + i, i, i] as const);
    const made = new PosesFrame();
    made.ids = new Float64Array(1024);
    made.east = new Float64Array(1024);
    made.north = new Float64Array(1024);
    made.up = new Float32Array(1024);
    made.yaw = new Uint8Array(1024);
    made.state = new Uint8Array(1024);
    made.count = 600;
    rows.forEach(([id, east, north], i) => {
      made.ids[i] = id;
      made.east[i] = east;
      made.north[i] = north;
    });
    crowd.take(made, round * 2000, round * 2000, 100);
    crowd.draw(round * 2000, 0, NOBODY);
    assert.equal(crowd.count, 600);
  }
  assert.equal(crowd.ids.length, 2048, "those of two rounds at most are known at once");
});

test("the city's time follows a node through its counter's turn, and is not shaken by jitter", () => {
  const clock = new Clock(2 ** 32 - 500, 1_700_000_000_000);
  assert.equal(clock.unix(500), 1_700_000_001_000);
  const time = new CityTime();
  for (let i = 0; i < 50; i++) {
    const now = 5000 + 100 * i;
    const tMs = (2 ** 32 - 500 + 100 * i) % 2 ** 32;
    clock.heard(tMs, now + 20 + (i % 7) * 9);
    time.told(clock.aheadMs, now + 80);
  }
  // the quickest frames took 20 ms
  assert.equal(clock.local((2 ** 32 - 500 + 5000) % 2 ** 32), 10_020);
  assert(Math.abs(time.at(10_080) - (1_700_000_000_000 + 5060)) < 1);
  const before = time.at(10_100);
  time.told(clock.aheadMs + 300, 10_100);
  assert(time.at(10_200) - before <= 110.001, "another node's clock is taken over gently");
});

test("everybody is drawn once: those who came by name are not in the count of their cell", () => {
  const counts = new DensityFrame();
  counts.level = 11;
  counts.tMs = 7;
  counts.count = 2;
  counts.columns.set([3, 4]);
  counts.rows.set([5, 5]);
  counts.people.set([10, 1]);
  const crowd = new Crowd();
  const densities = new Densities();
  const left = (): number[] => Array.from(densities.levels[0]?.people.subarray(0, 2) ?? []);
  crowd.take(frame(7, [1, 97, 161], [2, 127, 191], [3, 129, 160], [4, 900, 900]), 1000, 1000, 100);
  densities.take(counts, 1000);
  densities.takeOff((visit) => crowd.each(visit));
  assert.deepEqual(left(), [8, 0]);
  // those of another tier, told of in another tick, are drawn too; nobody is taken off twice
  const later = frame(8, [5, 100, 170]);
  later.tier = 1;
  crowd.take(later, 1100, 1100, 100);
  densities.takeOff((visit) => crowd.each(visit));
  densities.takeOff((visit) => crowd.each(visit));
  assert.deepEqual(left(), [7, 0]);
  // who has gone is in the count again
  crowd.draw(2600, 0, NOBODY);
  crowd.draw(9000, 0, NOBODY);
  densities.takeOff((visit) => crowd.each(visit));
  assert.deepEqual(left(), [10, 1]);
});

test("counts are kept as long as their node's pace asks for", () => {
  const counts = new DensityFrame();
  counts.count = 1;
  counts.people[0] = 5;
  const densities = new Densities();
  const count = (): number | undefined => densities.levels[0]?.count;
  densities.take(counts, 0);
  densities.take(counts, 500);
  densities.expire(1900);
  assert.equal(count(), 1);
  densities.expire(2100);
  assert.equal(count(), 0);
  // ticks of half a second, counts each fifth
  densities.take(counts, 3000);
  densities.take(counts, 5500);
  densities.expire(8500);
  assert.equal(count(), 1);
  densities.expire(13_100);
  assert.equal(count(), 0);
});

function segment([east, north, toEast, toNorth]: readonly number[], whole: boolean): Segment {
  return { east, north, toEast, toNorth, whole } as Segment;
}

test("walls block exactly what the node's block", () => {
  for (const { whole, solid, free, blocked } of vectors) {
    const walls = new Walls([...whole.map((s) => segment(s, true)), ...solid.map((s) => segment(s, false))]);
    assert(free.length > 100 && blocked.length > 100);
    for (const [steps, want] of [
      [free, false],
      [blocked, true],
    ] as const)
      for (const [a, b, c, d] of steps as [number, number, number, number][])
        assert.equal(walls.blocked(a, b, c, d), want, `${[a, b, c, d]}`);
  }
});

/** A courtyard of 40 m with a gate of 4 m in its southern wall, and one without any. */
const YARD: Segment[] = [
  [0, 0, 1800, 0],
  [2200, 0, 4000, 0],
  [4000, 0, 4000, 4000],
  [4000, 4000, 0, 4000],
  [0, 4000, 0, 0],
].map((s) =>
  segment(
    s.map((cm) => cm + 100_000),
    true,
  ),
);

test("a way is found through a gate, and none where there is none", () => {
  const walls = new Walls(YARD);
  const way = route(walls, 102_000, 106_000, 102_000, 102_000);
  assert(way);
  let [east, north] = [102_000, 106_000];
  let length = 0;
  for (let i = 0; i < way.length; i += 2) {
    const [toEast, toNorth] = [way[i] as number, way[i + 1] as number];
    assert(!walls.blocked(east, north, toEast, toNorth));
    length += Math.hypot(toEast - east, toNorth - north);
    [east, north] = [toEast, toNorth];
  }
  assert.deepEqual([east, north], [102_000, 102_000]);
  assert(length < 14_000, `${length} cm is a detour`);
  assert(way.length <= 12, "few corners");
  const shut = new Walls([...YARD, segment([101_800, 100_000, 102_200, 100_000], true)]);
  assert.equal(route(shut, 102_000, 106_000, 102_000, 102_000), null);
});

function walkerAt(east: number, north: number, walls: Walls): { walker: Walker; ended: string[] } {
  const ended: string[] = [];
  const pose = { east_cm: east, north_cm: north, up: 0, yaw: 0, state: 0 };
  const walker = new Walker(7, pose, (how) => ended.push(how));
  walker.walls = walls;
  walker.advance(0);
  return { walker, ended };
}

test("one walks around walls to a point; the way between two poses sent is never through one", () => {
  const walls = new Walls(YARD);
  const { walker, ended } = walkerAt(102_000, 106_000, walls);
  walker.walkTo(1020, 1020, true);
  let last = walker.next();
  let sends = 0;
  for (let now = 16; now < 60_000 && ended.length === 0; now += 16) {
    walker.advance(now);
    if (now % 96 !== 0 && !walker.cut()) continue;
    const pose = walker.next();
    assert(!walls.blocked(last.east_cm, last.north_cm, pose.east_cm, pose.north_cm));
    assert(Math.hypot(pose.east_cm - last.east_cm, pose.north_cm - last.north_cm) < 100);
    last = pose;
    sends++;
  }
  assert.deepEqual(ended, ["there"]);
  assert.deepEqual([walker.me.east, walker.me.north, walker.me.state], [1020, 1020, STAND]);
  assert(sends > 100);
});

test("pushing against a wall slides along it and goes nowhere else", () => {
  const { walker } = walkerAt(100_500, 99_900, new Walls(YARD));
  walker.walk(1, 1, false);
  for (let now = 16; now < 2000; now += 16) walker.advance(now);
  assert(walker.me.north < 1000.01 && walker.me.north > 998.9);
  assert(walker.me.east > 1006);
  walker.walk(0, 0, false);
  walker.advance(2016);
  assert.equal(walker.me.state, STAND);
});

test("one sits until one walks; waving ends by itself; a correction is obeyed", () => {
  const { walker, ended } = walkerAt(200_000, 200_000, new Walls([]));
  walker.state(SIT, 0);
  walker.advance(10_000);
  assert.equal(walker.me.state, SIT);
  walker.state(WAVE, 10_000);
  walker.advance(12_000);
  assert.equal(walker.me.state, WAVE);
  walker.advance(13_000);
  assert.equal(walker.me.state, STAND);
  walker.walkTo(2100, 2000, false);
  walker.put({ east_cm: 190_000, north_cm: 200_000, up: 0, yaw: 0, state: 0 }, false);
  assert.equal(walker.me.east, 1900);
  assert.deepEqual(walker.me.goal, { east: 2100, north: 2000 }, "and goes on from there");
  walker.put({ east_cm: 300_000, north_cm: 200_000, up: 0, yaw: 64, state: 0 });
  assert.deepEqual([walker.me.goal, walker.me.yaw], [null, Math.PI / 2]);
  assert.deepEqual(ended, []);
  const { east_cm, north_cm, up, yaw, state } = walker.next();
  assert.equal(encodePose(1, east_cm, north_cm, up, yaw, state, 0)[14], 64);
});

test("a rider is carried, waves, and walks no step until set down", () => {
  const { walker } = walkerAt(200_000, 200_000, new Walls(YARD));
  walker.walk(1, 0, false);
  walker.put({ east_cm: 200_100, north_cm: 200_000, up: 0, yaw: 0, state: RIDE });
  walker.walk(1, 0, true);
  walker.walkTo(1000, 1000, true);
  walker.carry(2010, 2000, 0, 1);
  walker.state(SIT, 0);
  walker.state(WAVE, 0);
  walker.advance(100);
  assert.deepEqual([walker.me.east, walker.me.state, walker.riding, walker.cut()], [2010, WAVE, true, false]);
  walker.advance(3000);
  assert.equal(walker.me.state, RIDE);
  walker.put({ east_cm: 205_000, north_cm: 200_000, up: 0, yaw: 0, state: STAND });
  walker.advance(3100);
  assert.deepEqual([walker.me.east, walker.me.state, walker.riding], [2050, STAND, false]);
});

test("places are read in metres; an odd one costs no other", () => {
  const square = (at: number, side: number) => [
    [at, at],
    [at + side, at],
    [at + side, at + side],
    [at, at + side],
  ];
  const places = readPlaces({
    places: [
      { id: "palace", name: { ko: "궁", en: "Palace" }, ground: "city", outline: square(100_000, 20_000) },
      {
        id: "hall",
        name: { ko: "전" },
        outline: square(105_000, 2_000),
        buildings: [{ outline: square(105_500, 1_000), solids: [square(105_500, 1_000)] }],
      },
      { id: "odd", outline: "nowhere" },
      7,
    ],
    programmes: [{ id: "bell", place: "hall", next_ms: 5, timeline: [{ offset_s: 1, op: "ring" }] }],
  });
  assert.deepEqual(
    places.all.map(({ id }) => id),
    ["palace", "hall"],
  );
  assert.equal(places.at(1051, 1051)?.id, "hall");
  assert.equal(places.at(1100, 1100)?.id, "palace");
  assert.equal(places.at(10, 10), null);
  assert.equal(places.solidity.count, 4);
  assert.equal(places.solidity.blocked(105_000, 106_000, 106_000, 106_000), true);
  assert.equal(places.solidity.blocked(106_000, 106_000, 105_000, 106_000), false, "who is inside may leave");
  assert.deepEqual(places.programmes[0]?.timeline, [{ offsetS: 1, op: "ring" }]);
  assert.deepEqual(readPlaces(null).all, []);
});

test("people are asked for once in a while, many at a time, within what a node takes", () => {
  const people = new People();
  people.want([0, -1, 1.5], 0);
  assert.equal(people.question(0), null);
  people.want(
    Array.from({ length: 100 }, (_, i) => i + 1),
    0,
  );
  assert(people.question(0) && people.question(0));
  assert.equal(people.question(0), null);
  people.want([5], 1000);
  assert.equal(people.question(1000), null, "it was asked just now");
  people.told([5], [{ name: "김", look: "", kind: "robot" }], 1000);
  assert.equal(people.known.get(5)?.kind, "program", "what we do not know is no person");
  people.want([5], 8_000);
  assert.equal(people.question(8_000), null, "it was told just now");
  people.want([5], 60_000);
  assert(people.question(60_000), "by now it may have another name");
  const outgoing = new Outgoing();
  let sent = 0;
  for (let i = 0; i < 200; i++) outgoing.put(new Uint8Array(1));
  for (let now = 0; now <= 1000; now += 50) outgoing.flush(now, () => ++sent > 0);
  assert(sent > 20 && sent <= 29, `${sent}`);
});

test("objects are those of the regions told of", () => {
  const things = new Things();
  const lantern = (n: number) => ({
    id: new Uint8Array(16).fill(n),
    kind: "lantern",
    east_cm: 100,
    north_cm: 200,
    text: "복",
    by: 7,
    count: 0,
    at_ms: 5,
    pending: n === 2,
  });
  things.told(5, [lantern(1), lantern(2)], [], true);
  things.told(6, [lantern(2)], [], true); // the region was divided
  things.told(5, [lantern(1)], [], true);
  assert.equal(things.all.size, 2);
  things.told(6, [], [new Uint8Array(16).fill(2)], false);
  assert.deepEqual(
    [...things.all.values()].map(({ east, north, text }) => [east, north, text]),
    [[1, 2, "복"]],
  );
  for (let cell = 100; cell < 200; cell++) things.told(cell, [lantern(cell)], [], true);
  assert(things.all.size <= 32);
});
