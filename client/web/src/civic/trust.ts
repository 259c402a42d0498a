/**
 * Whose signatures are believed: the keys of logs and witnesses, and the offices for which a filing is sealed.
 *
 * The page's own node is believed about them, as it is about the page itself: `fetchTrust` asks it, and, of a log that it
 * knows nothing of, the node that holds that log. A node that tells more, or otherwise, is not asked.
 */

import { fromHex } from "../net/bytes";
import { Malformed } from "../net/msgpack";
import { fieldsOf, told } from "./answers";
import { COSIGNATURE, parseKey, type VerifierKey } from "./note";

const ANSWER_BYTES_MAX = 4 << 20; // 26 logs, each with its history of keys
const HOLDERS_MAX = 32;

/** What counts for the checkpoints of one log. */
export interface Policy {
  readonly origin: string;
  readonly keys: readonly VerifierKey[];
  readonly witnesses: readonly VerifierKey[];
  readonly quorum: number;
}

export interface Trust {
  /** What counts for a checkpoint of this size; throws `Malformed("checkpoint-origin")` where nothing is known. */
  policy(stream: string, size: number): Policy;
  /** The sealing keys of the offices that read what is filed to the stream; none where nothing is known. */
  offices(stream: string): readonly Uint8Array[];
  /** The streams of which something is known. */
  readonly streams: readonly string[];
}

interface Announced extends Policy {
  readonly from: number;
  readonly offices: readonly Uint8Array[];
}

/**
 * The keys in the answer of a node's `/civic/streams`: what the city's log has announced of a stream, or else what this
 * node was set up with. Throws TypeError or `Malformed` if it is no such answer.
 */
export function readTrust(told: unknown): Trust {
  const { streams, announced } = told as {
    readonly streams: readonly Record<string, unknown>[];
    readonly announced: {
      readonly streams: Record<string, { readonly history: Record<string, unknown>[] }>;
    } | null;
  };
  const known = new Map<string, Announced[]>();
  for (const { stream, key, ...each } of streams)
    if (typeof stream === "string" && typeof key === "string")
      known.set(stream, [read({ ...each, keys: [key], from_size: 0 })]);
  for (const [stream, { history }] of Object.entries(announced?.streams ?? {}))
    known.set(stream, history.map(read));
  const newest = (stream: string) => known.get(stream)?.at(-1);
  return {
    streams: [...known.keys()],
    offices: (stream) => newest(stream)?.offices ?? [],
    policy: (stream, size) => {
      const found = known.get(stream)?.findLast(({ from }) => from <= size);
      if (found === undefined) throw new Malformed("checkpoint-origin");
      return found;
    },
  };
}

function read(one: Record<string, unknown>): Announced {
  const keys = (one.keys as string[]).map(parseKey);
  const origin = keys[0]?.name;
  const witnesses = (one.witnesses as string[])
    .map(parseKey)
    .filter(({ algorithm }) => algorithm === COSIGNATURE);
  if (
    origin === undefined ||
    keys.some(({ name, algorithm }) => name !== origin || algorithm === COSIGNATURE)
  )
    throw new Malformed("note-key");
  const offices = (one.offices as (string | { key: string })[]).map((office) => {
    const found = typeof office === "string" ? office : office.key;
    if (!/^[0-9a-f]{64}$/.test(found)) throw new Malformed("field-size");
    return fromHex(found);
  });
  return { origin, keys, witnesses, quorum: Number(one.quorum), from: Number(one.from_size), offices };
}

/** What a node knows, and of the logs that it does not know what their holders do. */
export async function fetchTrust(url = "", fetched: typeof fetch = fetch): Promise<Trust> {
  const streams = async (base: string) =>
    fieldsOf(await told(await fetched(`${base}/civic/streams`, { cache: "no-cache" }), ANSWER_BYTES_MAX));
  const own = await streams(url);
  const known = readTrust(own);
  const holders = new Map<string, string>();
  for (const { stream, url: log } of own.streams as { stream: string; url: string | null }[])
    if (!known.streams.includes(stream) && log?.endsWith(`/log/${stream}`) && holders.size < HOLDERS_MAX)
      holders.set(stream, log.slice(0, -`/log/${stream}`.length));
  const others = new Map<string, Trust>();
  for (const base of new Set(holders.values())) {
    const found = await streams(base).then(readTrust, () => null);
    if (found === null) continue; // a holder that does not answer, or not so, says nothing of its logs
    for (const [stream, holder] of holders)
      if (holder === base && found.streams.includes(stream)) others.set(stream, found);
  }
  const of = (stream: string) => others.get(stream) ?? known;
  return {
    streams: [...known.streams, ...others.keys()],
    offices: (stream) => of(stream).offices(stream),
    policy: (stream, size) => of(stream).policy(stream, size),
  };
}
