/**
 * A Colyseus room in which every client has a StateView of its K nearest.
 *
 *     node colyseus_server.mjs '{"avatars": 1000, "tick_ms": 100, "k": 32, "radius_m": 64}'
 *
 * Clients send our POSE record (16 bytes) as message 0, by bytes. Its best, by its documentation: one patch each tick;
 * the smallest type for each field; views changed only by who came and who went; poses as raw bytes, which spares
 * msgpack; a short key for each avatar; buffers that need not grow; production mode; no pings. The `ws` transport,
 * because what uWebSockets.js needs is not in the package registry.
 */

import process from "node:process";
import { Room, Server } from "@colyseus/core";
import { Encoder, StateView, schema } from "@colyseus/schema";
import { WebSocketTransport } from "@colyseus/ws-transport";
import { Meter, tell } from "./meter.mjs";
import { Nearest } from "./nearest.mjs";

const POSE = 1;
const POSE_BYTES = 16;
const POSE_MESSAGE = 0;
const SEAT_WAIT_S = 60;

const given = JSON.parse(process.argv[2]);
Encoder.BUFFER_SIZE = 1 << 20; // all views of a tick are written one after another

const Avatar = schema(
  { id: "float64", east: "int32", north: "int32", up: "int16", yaw: "uint8", state: "uint8" },
  "Avatar",
); // an id has 53 bits, which a float64 holds whole
const World = schema({ avatars: { map: Avatar, view: true } }, "World");

let meter;
let room;

class Crowd extends Room {
  patchRate = given.tick_ms;
  autoDispose = false;
  seatReservationTimeout = SEAT_WAIT_S;
  state = new World();

  onCreate() {
    room = this;
    const capacity = given.avatars;
    this.rows = []; // the client of each row
    this.keys = 0;
    this.east = new Int32Array(capacity);
    this.north = new Int32Array(capacity);
    this.nearest = new Nearest(capacity, given.k, given.radius_m * 100);
    this.found = new Int32Array(given.k);
    this.onMessageBytes(POSE_MESSAGE, (client, pose) => {
      if (pose.length !== POSE_BYTES || pose[0] !== POSE) return client.leave(4002);
      const { avatar } = client.userData;
      avatar.state = pose[1];
      avatar.east = pose.readInt32LE(4);
      avatar.north = pose.readInt32LE(8);
      avatar.up = pose.readInt16LE(12);
      avatar.yaw = pose[14];
    });
  }

  onJoin(client, options) {
    if (this.rows.length === given.avatars) throw new Error("the room is full");
    const { id, east, north } = options;
    const avatar = new Avatar().assign({ id, east, north, up: 0, yaw: 0, state: 0 });
    const key = (this.keys++).toString(36);
    client.userData = { avatar, key, seen: new Set(), row: this.rows.length };
    client.view = new StateView();
    this.rows.push(client);
    this.state.avatars.set(key, avatar);
  }

  /** The last client takes the row of the one that left. */
  onLeave(client) {
    const { row, key } = client.userData;
    const last = this.rows.pop();
    if (last !== client) {
      this.rows[row] = last;
      last.userData.row = row;
    }
    for (const { userData } of this.rows) userData.seen.delete(client.userData.avatar);
    this.state.avatars.delete(key);
  }

  broadcastPatch() {
    return meter.tick(() => super.broadcastPatch());
  }

  onBeforePatch() {
    const { rows, east, north, nearest, found } = this;
    for (let row = 0; row < rows.length; row++) {
      const { avatar } = rows[row].userData;
      east[row] = avatar.east;
      north[row] = avatar.north;
    }
    nearest.lay(rows.length, east, north);
    for (let row = 0; row < rows.length; row++) {
      const { view, userData } = rows[row];
      const before = userData.seen;
      const seen = new Set();
      const count = nearest.search(row, found);
      for (let j = 0; j < count; j++) seen.add(rows[found[j]].userData.avatar);
      for (const avatar of before) if (!seen.has(avatar)) view.remove(avatar);
      for (const avatar of seen) if (!before.has(avatar)) view.add(avatar);
      userData.seen = seen;
    }
  }
}

meter = new Meter(given.tick_ms, () => ({ clients: room ? room.clients.length : 0 }));
const transport = new WebSocketTransport({ pingInterval: 0, perMessageDeflate: false });
const server = new Server({ transport, greet: false, gracefullyShutdown: false });
server.define("crowd", Crowd);
await server.listen(0, "127.0.0.1", 1024);
tell({ port: transport.server.address().port });
