/**
 * A plain server on `ws`: each tick it sends every client its K nearest as one packed frame. The hand-written peer.
 *
 *     node ws_server.mjs '{"avatars": 1000, "tick_ms": 100, "k": 32, "radius_m": 64}'
 *
 * A pose is our POSE record (16 bytes). A frame is a header of 16 bytes (kind, 0, count u16, t_ms u32, origin east and
 * north i32) and 16 bytes an avatar (id u64, offsets i16 i16 in cm, up i16, yaw u8, state u8), as POSES but row by row.
 *
 * Its best: no compression, no tracking of clients by the library, a buffer for each client that is filled anew only
 * when its last frame is with the kernel, no object per avatar.
 */

import http from "node:http";
import process from "node:process";
import { WebSocketServer } from "ws";
import { Meter, tell } from "./meter.mjs";
import { Nearest } from "./nearest.mjs";

const POSE = 1;
const POSES = 2;
const POSE_BYTES = 16;
const HEADER_BYTES = 16;
const ROW_BYTES = 16;
const OPTIONS = { binary: true, compress: false };

const given = JSON.parse(process.argv[2]);
const { tick_ms: tickMs, k } = given;
const capacity = given.avatars;
const frameBytes = HEADER_BYTES + k * ROW_BYTES;

const idLow = new Uint32Array(capacity);
const idHigh = new Uint32Array(capacity);
const east = new Int32Array(capacity);
const north = new Int32Array(capacity);
const up = new Int16Array(capacity);
const yaw = new Uint8Array(capacity);
const state = new Uint8Array(capacity);
const sockets = [];
const frames = [];
const nearest = new Nearest(capacity, k, given.radius_m * 100);
const found = new Int32Array(k);
let skipped = 0;

function accept(socket, request) {
  if (sockets.length === capacity) return socket.close(1013);
  const asked = new URL(request.url, "ws://peer").searchParams;
  const id = BigInt(asked.get("id"));
  let self = sockets.push(socket) - 1;
  const buffer = Buffer.alloc(frameBytes);
  frames.push({
    buffer,
    shorts: new Int16Array(buffer.buffer, buffer.byteOffset, frameBytes / 2),
    words: new Int32Array(buffer.buffer, buffer.byteOffset, frameBytes / 4),
  });
  idLow[self] = Number(id & 0xffffffffn);
  idHigh[self] = Number(id >> 32n);
  east[self] = Number(asked.get("east"));
  north[self] = Number(asked.get("north"));
  socket.self = self;
  socket.on("message", (data) => {
    if (data.length !== POSE_BYTES || data[0] !== POSE) return socket.close(1002);
    self = socket.self;
    state[self] = data[1];
    east[self] = data.readInt32LE(4);
    north[self] = data.readInt32LE(8);
    up[self] = data.readInt16LE(12);
    yaw[self] = data[14];
  });
  socket.on("close", () => leave(socket.self));
  socket.on("error", () => socket.terminate());
}

/** The last avatar takes the row of the one that left. */
function leave(self) {
  const last = sockets.length - 1;
  for (const column of [idLow, idHigh, east, north, up, yaw, state]) column[self] = column[last];
  sockets[self] = sockets[last];
  sockets[self].self = self;
  frames[self] = frames[last];
  sockets.pop();
  frames.pop();
}

function tick() {
  nearest.lay(sockets.length, east, north);
  const now = Math.floor(performance.now()) | 0;
  for (let self = 0; self < sockets.length; self++) {
    const socket = sockets[self];
    if (socket.bufferedAmount > 0) {
      skipped++;
      continue;
    }
    const count = nearest.search(self, found);
    const { buffer, shorts, words } = frames[self];
    const originEast = east[self];
    const originNorth = north[self];
    shorts[0] = POSES;
    shorts[1] = count;
    words[1] = now;
    words[2] = originEast;
    words[3] = originNorth;
    let at = HEADER_BYTES / 4;
    for (let j = 0; j < count; j++, at += ROW_BYTES / 4) {
      const i = found[j];
      words[at] = idLow[i];
      words[at + 1] = idHigh[i];
      words[at + 2] = ((east[i] - originEast) & 0xffff) | ((north[i] - originNorth) << 16);
      words[at + 3] = (up[i] & 0xffff) | (yaw[i] << 16) | (state[i] << 24);
    }
    const whole = HEADER_BYTES + count * ROW_BYTES;
    socket.send(whole === frameBytes ? buffer : buffer.subarray(0, whole), OPTIONS);
  }
}

/** One tick, and the next a whole tick after this one was due, so that none is late because another was. */
function beat() {
  meter.tick(tick);
  due = Math.max(due + tickMs, performance.now());
  setTimeout(beat, due - performance.now());
}

const meter = new Meter(tickMs, () => ({ skipped, clients: sockets.length }));
const server = http.createServer();
const play = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false, maxPayload: 4096 });
play.on("connection", accept);
let due = performance.now();
beat();
server.listen(0, "127.0.0.1", 1024, () => tell({ port: server.address().port }));
