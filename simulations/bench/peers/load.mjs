/**
 * The load on a peer, in a process of its own: so many clients that stand and walk, a few of which watch.
 *
 *     node load.mjs '{"peer": "ws", "port": 1234, "avatars": 1000, "samples": 20, ...}'
 *
 * Says `{"ready": true}` when everybody is in and has walked for a while; between the lines `begin` and `end` on
 * standard input it measures, then prints the figures. Poses go out by a wheel of 10 ms: each avatar has its own phase.
 */

import process from "node:process";
import { JOIN } from "./clients.mjs";
import { Crowd, Observer, POSE_BYTES, dice } from "./crowd.mjs";
import { heed, tell } from "./meter.mjs";

const SLOT_MS = 10;
const SLOTS = 100; // one second
const WALK_SLOTS = 10; // walkers send ten times a second
const JOINS_AT_ONCE = 64;
const POLL_MS = 5;

const given = JSON.parse(process.argv[2]);
const crowd = new Crowd(given.avatars, given.area_m, given.standing, given.seed);
const rule = {
  k: given.k,
  radiusCm: given.radius_m * 100,
  freshMs: { walking: given.fresh_ms[0], standing: given.fresh_ms[1] },
};
const samples = Math.min(given.samples, Math.ceil(given.avatars / 2)); // some of the mass are always there
const every = Math.floor(given.avatars / samples);
const observers = new Map();
for (let i = 0; observers.size < samples; i += every) {
  observers.set(i, new Observer(crowd, i, rule));
}

const clients = new Array(given.avatars).fill(null);
const before = new Float64Array(given.avatars); // bytes received before this one came back
let lost = 0;

/** Brings avatar `i` in; should its connection end unasked, it is lost. */
async function join(i) {
  const client = await JOIN[given.peer](given.port, crowd, i, observers.get(i));
  clients[i] = client;
  crowd.here[i] = 1;
  client.socket?.once("close", () => {
    if (clients[i] !== client) return;
    clients[i] = null;
    lost++;
  });
}

/** One of the mass leaves, and comes back as soon as it has gone. */
function comeAndGo(i) {
  const client = clients[i];
  if (client === null || observers.has(i)) return;
  clients[i] = null;
  crowd.here[i] = 0;
  before[i] += client.bytes;
  client.socket.once("close", () => {
    join(i).catch((failure) => {
      lost++;
      console.error(failure);
    });
  });
  client.socket.destroy();
}

const received = (i) => before[i] + (clients[i]?.bytes ?? 0);

async function joinAll() {
  let next = 0;
  await join(next++);
  const worker = async () => {
    while (next < given.avatars) await join(next++);
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, worker));
}

const wheel = Array.from({ length: SLOTS }, () => []);
const roll = dice(given.seed + 1);
for (let i = 0; i < given.avatars; i++) {
  const phase = Math.floor(roll() * SLOTS);
  const period = crowd.walks(i) ? WALK_SLOTS : SLOTS;
  for (let slot = phase % period; slot < SLOTS; slot += period) wheel[slot].push(i);
}

let late = [];

function play() {
  const began = performance.now();
  const pose = Buffer.alloc(POSE_BYTES);
  let slot = 0;
  let leaving = 0;
  setInterval(() => {
    for (; began + slot * SLOT_MS <= performance.now(); slot++) {
      for (const i of wheel[slot % SLOTS]) {
        if (clients[i] === null) continue;
        crowd.step(i, performance.now(), pose);
        clients[i].send(pose);
      }
      leaving += (given.avatars * given.churn * SLOT_MS) / 1000;
      for (; leaving >= 1; leaving--) comeAndGo(Math.floor(roll() * given.avatars));
      late.push(performance.now() - began - slot * SLOT_MS);
    }
  }, POLL_MS);
}

const at = {};

function begin() {
  late = [];
  for (const observer of observers.values()) observer.reset();
  at.cpu = process.cpuUsage();
  at.ms = performance.now();
  at.bytes = clients.map((_, i) => received(i));
}

function quantiles(values, ...shares) {
  const sorted = Float64Array.from(values).sort();
  const pick = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return Object.fromEntries(shares.map((share) => [share === 1 ? "max" : `p${share * 100}`, pick(share)]));
}

function figures() {
  const seconds = (performance.now() - at.ms) / 1000;
  const used = process.cpuUsage(at.cpu);
  const rate = (i) => (received(i) - at.bytes[i]) / seconds;
  const there = clients.map((_, i) => i);
  const watching = [...observers.values()];
  const sum = (of) => watching.reduce((total, observer) => total + observer[of], 0);
  const middle = (rows) => quantiles(rows.map(rate), 0.5).p50;
  const mass = there.filter((i) => !observers.has(i));
  return {
    lost,
    update_age_ms: quantiles(watching.flatMap((observer) => observer.ages), 0.5, 0.99),
    updates: watching.reduce((total, observer) => total + observer.ages.length, 0),
    nearest32_fresh: sum("fresh") / sum("pairs"),
    nearest32_recall: sum("known") / sum("pairs"),
    bytes_down_per_client_s: quantiles(there.map(rate), 0.5, 0.99, 1),
    sampled_bytes_ratio: mass.length > 0 ? middle(there.filter((i) => observers.has(i))) / middle(mass) : 1,
    load_cores: (used.user + used.system) / 1e6 / seconds,
    load_late_ms: quantiles(late, 0.5, 0.99),
  };
}

heed({ begin, end: () => tell(figures()) });
await joinAll();
play();
setTimeout(() => tell({ ready: true }), given.settle_s * 1000);
