/**
 * A world in this browser: its sockets, its clock and what it keeps.
 */

import { type KeptKey, type Signer, signer } from "../net/keys";
import type { Pose, Profile } from "../net/messages";
import { Malformed } from "../net/msgpack";
import { keepNow, keptKey, keptNow, openKept } from "./kept";
import { LiveWorld } from "./live";
import { readPlaces } from "./places";
import { WORLD_M, type World } from "./world";

const SUBPROTOCOL = "p2pworld.v1";
const STOOD_MS = 12 * 3600_000; // where one stood is remembered for so long
const KEEP_STOOD_MS = 5000;
const AGAIN_MS = 2000;
const WAITING_BYTES_MAX = 65_536; // a socket that does not take what is sent loses poses, not memory

interface Stood {
  readonly pose: Pose;
  readonly ms: number;
}

/** The world of this page, which has begun to join it. Waits for what this device keeps and for the nodes' addresses. */
export async function openWorld(): Promise<World> {
  const kept = await openKept();
  const [key, lastLoginMs, profile, blocked, urls] = await Promise.all([
    keptKey(kept),
    kept.get<number>("lastLogin"),
    kept.get<Profile>("profile"),
    kept.get<unknown>("blocked"),
    nodeUrls(),
  ]);
  const by: Signer = await signer(key as KeptKey);
  const sockets = new Map<number, WebSocket>();
  const tabs = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("p2pworld");
  let timer: ReturnType<typeof setTimeout> | undefined;
  const world: LiveWorld = new LiveWorld(
    {
      now: () => performance.now(),
      wall: () => Date.now(),
      wakeAt: (ms) => {
        clearTimeout(timer);
        if (ms !== Number.POSITIVE_INFINITY)
          timer = setTimeout(() => world.wake(), Math.max(0, ms - performance.now()));
      },
      open: (conn, url) => {
        const lost = () => {
          if (sockets.delete(conn)) world.closed(conn);
        };
        let socket: WebSocket;
        try {
          socket = new WebSocket(url, SUBPROTOCOL);
        } catch {
          sockets.delete(conn);
          queueMicrotask(() => world.closed(conn)); // an address that no socket can have
          return;
        }
        socket.binaryType = "arraybuffer";
        sockets.set(conn, socket);
        socket.onmessage = ({ data }) => {
          if (!(data instanceof ArrayBuffer) || sockets.get(conn) !== socket) return;
          try {
            world.received(conn, new Uint8Array(data));
          } catch (error) {
            if (!(error instanceof Malformed)) throw error;
            socket.close();
            lost();
          }
        };
        socket.onclose = lost;
      },
      send: (conn, data) => {
        const socket = sockets.get(conn);
        if (socket?.readyState === WebSocket.OPEN && socket.bufferedAmount < WAITING_BYTES_MAX)
          socket.send(data as Uint8Array<ArrayBuffer>);
      },
      close: (conn) => {
        const socket = sockets.get(conn);
        sockets.delete(conn);
        socket?.close();
      },
      claim: () => tabs?.postMessage("here"),
      keep: (name, value) => kept.put(name, value),
    },
    {
      signer: by,
      urls,
      entropy: crypto.getRandomValues(new Uint8Array(16)),
      profile: profile ?? { name: guestName(), look: "", kind: "person" },
      want: stoodLately(),
      lastLoginMs: lastLoginMs ?? 0,
      blocked: blockedBefore(blocked),
    },
  );

  const keepStood = () => {
    const pose = world.stands();
    if (pose) keepNow("stood", { pose, ms: Date.now() } satisfies Stood);
  };
  setInterval(keepStood, KEEP_STOOD_MS);
  addEventListener("pagehide", keepStood);
  // a page that is hidden is not drawn: what fades is forgotten here
  setInterval(() => document.hidden && world.view(performance.now()), 1000);

  // tabs of one browser share one avatar: the newest has it, the older ones are told
  if (tabs) tabs.onmessage = () => world.stopForTab();
  world.gesture();
  readTheCity(world);
  return world;
}

/** The nodes' play urls, that of the node that serves this page first; asks until there are any. */
async function nodeUrls(): Promise<string[]> {
  for (;;) {
    const told = await ask("/api/v1/nodes");
    const nodes = (told as { nodes?: { play_url?: unknown; self?: unknown }[] } | null)?.nodes;
    if (Array.isArray(nodes)) {
      const urls = [...nodes]
        .sort((a, b) => Number(b.self === true) - Number(a.self === true))
        .map((node) => node.play_url)
        .filter((url) => typeof url === "string");
      if (urls.length) return urls;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

async function readTheCity(world: LiveWorld): Promise<void> {
  for (let pause = AGAIN_MS; ; pause *= 2) {
    const table = await ask("/api/v1/places");
    if (table) {
      world.placed(readPlaces(table));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

async function ask(path: string): Promise<unknown> {
  try {
    const answer = await fetch(path);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** Whom this device keeps as blocked, with their names; whatever else was kept there is left out. */
function blockedBefore(kept: unknown): [number, string][] {
  if (!Array.isArray(kept)) return [];
  return kept
    .filter((one) => Array.isArray(one) && Number.isSafeInteger(one[0]))
    .map((one) => [one[0] as number, String(one[1]).slice(0, 64)]);
}

/** Where the person of this device stood when they were last here, if that is not long ago. */
function stoodLately(): Pose | null {
  const stood = keptNow("stood") as Partial<Stood> | null;
  const pose = stood?.pose as Partial<Pose> | undefined;
  if (!stood || !pose || !(Date.now() - Number(stood.ms) < STOOD_MS)) return null;
  const whole = (value: unknown, low: number, high: number): number =>
    Math.min(Math.max(Math.round(Number(value)) || 0, low), high);
  return {
    east_cm: whole(pose.east_cm, 0, WORLD_M * 100 - 1),
    north_cm: whole(pose.north_cm, 0, WORLD_M * 100 - 1),
    up: whole(pose.up, -32_768, 32_767),
    yaw: whole(pose.yaw, 0, 255),
    state: 0,
  };
}

function guestName(): string {
  const number = 1000 + ((crypto.getRandomValues(new Uint16Array(1))[0] as number) % 9000);
  return navigator.language.startsWith("ko") ? `손님 ${number}` : `Guest ${number}`;
}
