/**
 * Files one submission with the nodes of a city until there is a receipt that holds, whatever single nodes do: as
 * client/filing.py does.
 *
 * The same bytes are brought to one node after another; the log answers a retry as it answered the first. A receipt is
 * believed because it is proven; a refusal is signed by nobody, so it is final when two nodes say the same, or all there
 * are. Whoever gives up learns nothing of what became of it, keeps the bytes, and may file the same again later.
 *
 * The requests are such that a browser sends them to a node of another origin without asking it first. The page's own
 * policy must allow that (`connect-src`); where it does not, give the page's own node alone.
 */

import { Malformed } from "../net/msgpack";
import { bounded, fieldsOf } from "./answers";
import { checkFiled, type Proven, RECEIPT_BYTES_MAX, type Trust } from "./receipt";
import { type Submission, submissionBytes } from "./transaction";

const ASK_MS = 15_000; // a node answers within ten seconds, whatever happens
const AGAIN_MS = [1_000, 2_000, 4_000, 8_000, 15_000];
const AGREE = 2;
const REFUSAL_BYTES_MAX = 65_536;
const REASON = /^[a-z][a-z0-9-]{0,39}$/;

/** In the log, with the receipt that proves it. */
export interface Accepted extends Proven {
  readonly kind: "accepted";
  readonly receipt: Uint8Array;
  readonly url: string;
}

/** Nodes say that it is not taken, all of them for this reason; `said` are the sentences that a node had for it. */
export interface Refused {
  readonly kind: "refused";
  readonly reason: string;
  readonly said: { readonly ko: string; readonly en: string };
  readonly urls: readonly string[];
}

/** Neither came in time, and it is not known what became of it. */
export interface Unknown {
  readonly kind: "unknown";
}

export type Outcome = Accepted | Refused | Unknown;

export interface Filing {
  readonly submission: Submission;
  readonly trust: Trust;
  /** The bases of the nodes' web faces (`https://node.example`); empty text is the page's own node. */
  readonly urls: readonly string[];
  /** When to give up. */
  readonly waitMs?: number;
  /** Hears what each node did: `lost`, `busy`, `false-receipt` or a reason. */
  readonly told?: (url: string, what: string) => void;
  readonly signal?: AbortSignal;
  readonly fetch?: typeof fetch;
  /** Waits, for less if `signal` says so. */
  readonly sleep?: (ms: number) => Promise<void>;
}

const WAIT_MS = 60_000;

/** The receipt, the refusal, or neither. */
export async function file(filing: Filing): Promise<Outcome> {
  const rounds = new Rounds(filing);
  const sleep = filing.sleep ?? ((ms) => new Promise<void>((done) => setTimeout(done, ms)));
  let left = filing.waitMs ?? WAIT_MS;
  for (let round = 0; ; round++) {
    const found = await rounds.next();
    const pause = AGAIN_MS[Math.min(round, AGAIN_MS.length - 1)] as number;
    if (found !== null) return found;
    if (filing.signal?.aborted || left < pause) return rounds.mostRefused(1) ?? { kind: "unknown" };
    left -= pause;
    await sleep(pause);
  }
}

/** The newest receipt that a node has for an entry, once it holds: a later one has more witnesses. Null: none does. */
export async function newestReceipt(
  filing: Pick<Filing, "submission" | "trust" | "urls" | "told" | "fetch">,
  index: number,
): Promise<Accepted | null> {
  let best: Accepted | null = null;
  for (const url of filing.urls) {
    const path = `${url}/civic/receipt/${filing.submission.filing.stream}/${index}`;
    const answer = await ask(filing.fetch ?? fetch, path, {});
    if (answer?.status !== 200) continue;
    const found = await prove(filing, url, answer.body);
    if (found?.index !== index) continue;
    best = best !== null && best.witnesses >= found.witnesses ? best : found;
    if (best.witnesses >= best.quorum) break;
  }
  return best;
}

class Rounds {
  private readonly refusals = new Map<string, { said: Refused["said"]; urls: string[] }>();
  private readonly bytes: Uint8Array<ArrayBuffer>;

  constructor(private readonly filing: Filing) {
    this.bytes = Uint8Array.from(submissionBytes(filing.submission));
  }

  /** Asks each node that has not refused it; null if nothing is settled by that. */
  async next(): Promise<Accepted | Refused | null> {
    const { urls, signal, told = () => {} } = this.filing;
    for (const url of urls) {
      if ([...this.refusals.values()].some((refused) => refused.urls.includes(url))) continue;
      if (signal?.aborted) return null;
      const post = { method: "POST", body: this.bytes };
      const answer = await ask(this.filing.fetch ?? fetch, `${url}/civic/file`, post, signal);
      if (answer === null) {
        told(url, "lost");
        continue;
      }
      if (answer.status === 200) {
        const found = await prove(this.filing, url, answer.body);
        if (found !== null) return found;
        continue;
      }
      this.takeRefusal(url, answer.body, told);
      const refused = this.mostRefused(AGREE);
      if (refused !== null) return refused;
    }
    const all = [...this.refusals.values()].reduce((sum, refused) => sum + refused.urls.length, 0);
    return all === urls.length ? this.mostRefused(1) : null;
  }

  /** The refusal that most nodes gave, if there are so many of them. */
  mostRefused(least: number): Refused | null {
    const [most] = [...this.refusals].sort(([, a], [, b]) => b.urls.length - a.urls.length);
    if (most === undefined || most[1].urls.length < least) return null;
    return { kind: "refused", reason: most[0], ...most[1] };
  }

  private takeRefusal(url: string, body: Uint8Array, told: (url: string, what: string) => void): void {
    const { reason, ko, en, retry } = fieldsOf(body);
    if (typeof reason !== "string" || !REASON.test(reason)) {
      told(url, "lost");
      return;
    }
    told(url, reason);
    if (retry === true) return;
    const text = (words: unknown) => (typeof words === "string" ? words : "");
    const refused = this.refusals.get(reason) ?? { said: { ko: text(ko), en: text(en) }, urls: [] };
    refused.urls.push(url);
    this.refusals.set(reason, refused);
  }
}

async function prove(
  filing: Pick<Filing, "submission" | "trust" | "told">,
  url: string,
  receipt: Uint8Array,
): Promise<Accepted | null> {
  try {
    const proven = await checkFiled(receipt, filing.submission, filing.trust);
    return { kind: "accepted", receipt, url, ...proven };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    filing.told?.(url, "false-receipt");
    return null;
  }
}

/** What the node answers, no more of it than it may; null if it does not. */
async function ask(
  fetched: typeof fetch,
  url: string,
  init: RequestInit,
  signal?: AbortSignal,
): Promise<{ readonly status: number; readonly body: Uint8Array } | null> {
  const control = new AbortController();
  const stop = () => control.abort();
  const late = setTimeout(stop, ASK_MS);
  signal?.addEventListener("abort", stop);
  try {
    const answer = await fetched(url, {
      ...init,
      credentials: "omit",
      cache: "no-store",
      signal: control.signal,
    });
    const most = answer.status === 200 ? RECEIPT_BYTES_MAX : REFUSAL_BYTES_MAX;
    const body = await bounded(answer, most);
    return body === null ? null : { status: answer.status, body };
  } catch {
    return null; // no connection, or none in time: which is all that can be known of a network
  } finally {
    clearTimeout(late);
    signal?.removeEventListener("abort", stop);
  }
}
