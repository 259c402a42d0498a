/** The library of civic services within reach of a test that drives a browser: `window.civic`. */

import { attachmentOf, fetchFile, hashOf, lockFile, upload } from "../../src/civic/attachments";
import { citizenOf, fileAct } from "../../src/civic/case";
import { file, newestReceipt } from "../../src/civic/filer";
import { check, dayInSeoul, type Service, streamOf, type Values } from "../../src/civic/form";
import { readGu } from "../../src/civic/gu";
import { readLeaf, readSealed } from "../../src/civic/read";
import { prepare } from "../../src/civic/request";
import { newSecrets, openBlob, parseSubmission } from "../../src/civic/transaction";
import { fetchTrust } from "../../src/civic/trust";
import { openWallet, type Request } from "../../src/civic/wallet";
import { toHex } from "../../src/net/bytes";

const minute = () => Math.floor(Date.now() / 60_000);
const json = async (url: string): Promise<unknown> => (await fetch(url)).json();

/** Fills in, checks and keeps a request, not sent; its id, or what is wrong. */
async function write(node: string, service: Service, values: Values): Promise<string | string[]> {
  const guOf = readGu(await json("/api/v1/city"));
  const { kept, faults } = check(service, values, dayInSeoul(Date.now()), guOf, () => null);
  if (faults.length > 0) return faults.map(({ code }) => code);
  const wallet = await openWallet();
  const stream = streamOf(service, kept, guOf, () => null) as string;
  const secrets = newSecrets();
  const trust = await fetchTrust(node);
  const me = await wallet.me(minute());
  const submission = await prepare({ service, kept, stream, minute: minute(), me, trust, secrets });
  return (await wallet.begin(submission, secrets, { service: service.id })).id;
}

/** Sends all that is not settled; how each of it ended. */
async function send(nodes: readonly string[]): Promise<string[]> {
  const wallet = await openWallet();
  const trust = await fetchTrust(nodes.at(-1));
  const ends: string[] = [];
  for (const { id, submission } of await wallet.unsettled()) {
    const outcome = await file({
      submission: parseSubmission(submission),
      trust,
      urls: nodes,
      waitMs: 20_000,
    });
    const { standing, entry, reason } = await wallet.settle(id, outcome);
    ends.push(`${standing} ${entry ?? reason}`);
  }
  return ends;
}

/** Withdraws a request that is in the log; how that ended. */
async function withdraw(nodes: readonly string[], id: string): Promise<string[]> {
  const wallet = await openWallet();
  const { secrets, stream, entry } = (await wallet.request(id)) as Request & { entry: number };
  const own = newSecrets();
  const act = { stream, entry, seen: 0, action: "withdraw", amount: 0 };
  const submission = await fileAct(act, citizenOf(secrets), minute(), own.seed);
  await wallet.begin(submission, own, { service: "withdraw", about: id });
  return send(nodes);
}

/** The newest receipt of a request holds, and the leaf that the node shows for it is the request's. */
async function holds(node: string, id: string): Promise<boolean> {
  const wallet = await openWallet();
  const kept = await wallet.request(id);
  if (kept?.entry == null) return false;
  const trust = await fetchTrust(node);
  const submission = parseSubmission(kept.submission);
  const proven = await newestReceipt({ submission, trust, urls: [node] }, kept.entry);
  const leaf = await readLeaf(node, kept.stream, kept.entry, trust);
  return proven !== null && toHex(leaf.sig) === toHex(submission.sig);
}

/** What the person wrote, as the node gives it back to whoever has the filing's own key. */
async function reads(node: string, id: string): Promise<Record<string, string>> {
  const wallet = await openWallet();
  const { submission, secrets, stream, entry } = (await wallet.request(id)) as Request & { entry: number };
  const sealed = await readSealed(node, stream, entry, citizenOf(secrets), minute());
  const { fields } = await openBlob(parseSubmission(submission).filing, sealed, secrets.blobKey);
  return Object.fromEntries(fields.map(({ name, value }) => [name, value]));
}

interface Brought {
  readonly kind: string;
  readonly bytes: number;
  readonly steps: number;
  readonly found: number | null;
}

/** Brings a file of so many bytes: how that ended, how many went, in how many steps, and how many come back. */
async function bring(node: string, size: number): Promise<Brought> {
  const file = new Uint8Array(size);
  const attachment = attachmentOf(newSecrets().blobKey, hashOf(file));
  let [bytes, steps] = [0, 0];
  const progress = (at: number) => {
    bytes = at;
    steps += 1;
  };
  const locked = lockFile(attachment, file);
  const { kind } = await upload({ url: node, stream: "jung", attachment, locked, progress });
  const found = await fetchFile(node, "jung", attachment, size);
  return { kind, bytes, steps, found: found?.length ?? null };
}

async function me(): Promise<{ root: string; lasting: boolean; words: string | null }> {
  const wallet = await openWallet();
  const { root, words } = await wallet.me(minute());
  return { root: toHex(root), lasting: wallet.lasting, words };
}

Object.assign(globalThis, { civic: { write, send, withdraw, holds, reads, bring, me } });
