/**
 * Clients of both peers. The mass speaks just enough WebSocket to come in and send poses, and throws away what it
 * receives after counting it; samples read everything: by hand from the plain server, by its own SDK from Colyseus.
 */

import net from "node:net";
import { Client } from "@colyseus/sdk";

const HOST = "127.0.0.1";
const ROOM = "crowd";
const JOIN_ROOM = 10; // Colyseus: in, and the answer that one is
const ROOM_DATA_BYTES = 17;
const POSE_MESSAGE = 0;
const HEAD_BYTES_MAX = 4096;
const READ_BYTES = 1 << 18;
const HEADER_BYTES = 16;
const ROW_BYTES = 16;
const shared = Buffer.alloc(READ_BYTES); // every socket reads into it: nothing is kept between reads

/** A client's frame of fewer than 126 bytes; its mask is zero, which leaves the bytes as they are. */
function framed(...parts) {
  const payload = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([0x82, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

/** One raw connection, open once the server has agreed; `onData` gets what follows, in pieces that are not kept. */
function connect(port, path, onData) {
  return new Promise((resolve, reject) => {
    let head = "";
    const client = { bytes: 0, socket: null, send: null };
    const read = (size, buffer) => {
      client.bytes += size;
      if (head === null) return onData?.(buffer.subarray(0, size)), true;
      head += buffer.latin1Slice(0, size);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0 && head.length < HEAD_BYTES_MAX) return true;
      if (!head.startsWith("HTTP/1.1 101")) {
        reject(new Error(`no WebSocket: ${head.split("\r\n")[0]}`));
        client.socket.destroy();
        return false;
      }
      const rest = Buffer.from(head.slice(end + 4), "latin1");
      head = null;
      resolve(client);
      if (rest.length > 0) onData?.(rest);
      return true;
    };
    client.socket = net.connect({ port, host: HOST, noDelay: true, onread: { buffer: shared, callback: read } });
    client.send = (...parts) => client.socket.write(framed(...parts));
    client.socket.on("error", reject);
    client.socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${HOST}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
  });
}

/** The frames of a server, put together again; only whole binary messages, which is all that comes. */
function unframed(onMessage) {
  let left = Buffer.alloc(0);
  return (data) => {
    left = Buffer.concat([left, data]);
    for (;;) {
      if (left.length < 2) return;
      const short = left[1] & 0x7f;
      const head = short < 126 ? 2 : 4;
      if (short === 127 || left.length < head) return;
      const size = short < 126 ? short : left.readUInt16BE(2);
      if (left.length < head + size) return;
      onMessage(left.subarray(head, head + size));
      left = left.subarray(head + size);
    }
  };
}

/** Reads one packed frame of the plain server. */
function readRows(frame, observer) {
  const now = performance.now();
  observer.begin(now);
  const originEast = frame.readInt32LE(8);
  const originNorth = frame.readInt32LE(12);
  for (let at = HEADER_BYTES; at < frame.length; at += ROW_BYTES) {
    const id = frame.readUInt32LE(at + 4) * 2 ** 32 + frame.readUInt32LE(at);
    observer.see(id, originEast + frame.readInt16LE(at + 8), originNorth + frame.readInt16LE(at + 10), now);
  }
}

/** Of each peer, how somebody comes in: one of the mass, or a sample with an observer. */
export const JOIN = {
  async ws(port, crowd, i, observer) {
    const onData = observer && unframed((frame) => readRows(frame, observer));
    return connect(port, `/?id=${crowd.id[i]}&east=${crowd.east[i]}&north=${crowd.north[i]}`, onData);
  },

  async colyseus(port, crowd, i, observer) {
    const options = { id: crowd.id[i], east: crowd.east[i], north: crowd.north[i] };
    if (observer) return joinBySdk(port, options, observer);
    const asked = await fetch(`http://${HOST}:${port}/matchmake/joinOrCreate/${ROOM}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(options),
    });
    const seat = await asked.json();
    if (!seat.sessionId) throw new Error(`no seat: ${JSON.stringify(seat)}`);
    let welcome;
    const welcomed = new Promise((resolve) => {
      welcome = resolve;
    });
    const path = `/${seat.processId}/${seat.roomId}?sessionId=${seat.sessionId}`;
    const client = await connect(port, path, () => welcome());
    await welcomed; // the first message says that one is in; patches come once that is acknowledged
    client.send(Buffer.from([JOIN_ROOM]));
    const raw = client.send;
    const type = Buffer.from([ROOM_DATA_BYTES, POSE_MESSAGE]);
    client.send = (pose) => raw(type, pose);
    return client;
  },
};

async function joinBySdk(port, options, observer) {
  const room = await new Client(`http://${HOST}:${port}`).joinOrCreate(ROOM, options);
  const client = { bytes: 0, send: (pose) => room.sendBytes(POSE_MESSAGE, pose) };
  const onmessage = room.connection.events.onmessage;
  room.connection.events.onmessage = (event) => {
    const size = event.data.byteLength;
    client.bytes += size + (size < 126 ? 2 : 4);
    onmessage(event);
  };
  room.onStateChange((state) => {
    const now = performance.now();
    observer.begin(now);
    state.avatars?.forEach((avatar) => observer.see(avatar.id, avatar.east, avatar.north, now));
  });
  return client;
}
