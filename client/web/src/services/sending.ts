/**
 * From checked values to a request in the record: made once, kept before it is sent, and the same bytes sent again until
 * there is a receipt or a refusal, on this page or on the next one that is opened. So a double click, a lost connection
 * or a closed window files once.
 */

import { citizenOf, REPLY_KEY, replyKey } from "../civic/case";
import { file, type Outcome } from "../civic/filer";
import { type Service, split, type Values, type Words } from "../civic/form";
import type { readTrust } from "../civic/receipt";
import {
  fileTransaction,
  newSecrets,
  type Paper,
  parseSubmission,
  submissionBytes,
  withPapers,
} from "../civic/transaction";
import { toHex } from "../net/bytes";
import { nodes, trust } from "./city";
import type { KeptRequest, Store } from "./store";

const MINUTE_MS = 60_000;

export type Trust = ReturnType<typeof readTrust>;

/** A request of these checked values, kept on this device and not yet sent. Null: no office reads the stream yet. */
export async function makeRequest(
  store: Store,
  service: Service,
  kept: Values,
  stream: string,
  shown: (name: string, text: string) => string,
  papers: readonly Paper[] = [],
): Promise<KeptRequest | null> {
  const offices = (await trust()).offices(stream);
  if (offices.length === 0) return null;
  const secrets = newSecrets();
  const fields = split(service, kept);
  const minute = Math.floor(Date.now() / MINUTE_MS);
  const made = await fileTransaction({
    type: service.id,
    stream,
    minute,
    public: fields.public,
    private: [...fields.private, { name: REPLY_KEY, value: toHex(replyKey(secrets).public) }],
    identity: await store.identity(),
    offices,
    secrets,
  });
  const labels = new Map<string, Words>(service.form.fields.map(({ name, label }) => [name, label]));
  const request: KeptRequest = {
    key: toHex(citizenOf(secrets).public),
    service: service.id,
    title: service.title as Record<string, string>,
    stream,
    minute,
    secrets,
    submission: submissionBytes(withPapers(made, papers)),
    of: JSON.stringify(kept),
    own: [...fields.public, ...fields.private]
      .filter(({ value }) => value !== "")
      .map(({ name, value }) => ({
        label: (labels.get(name) ?? {}) as Record<string, string>,
        text: shown(name, value),
      })),
  };
  await store.keepRequest(request);
  return request;
}

const underWay = new Map<string, Promise<Outcome>>();

/** Sends a request that was kept, and keeps its receipt; the same call meanwhile waits for the same answer. */
export function send(store: Store, request: KeptRequest): Promise<Outcome> {
  const going = underWay.get(request.key);
  if (going !== undefined) return going;
  const sent = deliver(store, request).finally(() => underWay.delete(request.key));
  underWay.set(request.key, sent);
  return sent;
}

async function deliver(store: Store, request: KeptRequest): Promise<Outcome> {
  let outcome: Outcome;
  try {
    outcome = await file({
      submission: parseSubmission(request.submission),
      trust: await trust(),
      urls: await nodes(),
      waitMs: 20_000,
    });
  } catch (error) {
    if (error instanceof TypeError) return { kind: "unknown" }; // no connection
    throw error;
  }
  if (outcome.kind === "accepted")
    await settle(store, { ...request, entry: outcome.index, receipt: outcome.receipt });
  else if (outcome.kind === "refused") await store.keepRequest({ ...request, refused: outcome.reason });
  return outcome;
}

/** Keeps a request that is in the record; the draft that it was made of has served. */
async function settle(store: Store, request: KeptRequest): Promise<void> {
  await store.keepRequest(request);
  const draft = await store.draft(request.service);
  if (draft?.request === request.key) await store.dropDraft(request.service);
}

/** Sends again what is not known to be filed, now and whenever there is a connection again. */
export async function sendAgain(
  store: Store,
  done: (request: KeptRequest, outcome: Outcome) => void,
): Promise<void> {
  const again = async (): Promise<void> => {
    for (const request of await store.requests())
      if (request.entry === undefined && request.refused === undefined)
        done(request, await send(store, request));
  };
  addEventListener("online", () => void again());
  await again();
}
