/**
 * From checked values to a request in the record: made once, kept before it is sent, and the same bytes sent again until
 * there is a receipt or a refusal, on this page or on the next one that is opened. So a double click, a lost connection
 * or a closed window files once.
 */

import { type Attachment, lockFile, upload } from "../civic/attachments";
import type { Claim } from "../civic/claims";
import { file, type Outcome } from "../civic/filer";
import type { Service, Values } from "../civic/form";
import { attachmentsOf, prepare } from "../civic/request";
import { parseSubmission, type Secrets, withPapers } from "../civic/transaction";
import type { Trust } from "../civic/trust";
import type { Me, Plain, Request, Wallet } from "../civic/wallet";
import { nodes, trust } from "./city";
import { language, say } from "./words";

const WAIT_MS = 20_000;
/** The paper of who would rather wait than get nothing; only that it is there counts. */
const WAIT = { kind: "wait", data: Uint8Array.of(1) };

/** The minute that it is now. */
export function thisMinute(): number {
  return Math.floor(Date.now() / 60_000);
}

/** What this device is called at first: the kind of machine, and the day. */
export function deviceName(): string {
  const day = new Intl.DateTimeFormat(language, { timeZone: "Asia/Seoul" }).format(Date.now());
  return say(matchMedia("(pointer: coarse)").matches ? "devicePhone" : "deviceComputer", { day });
}

/** Who this person is on this device; made at the first request. */
export function myself(wallet: Wallet): Promise<Me> {
  return wallet.me(thisMinute(), deviceName());
}

/** All that a request is made of. */
export interface Asked {
  readonly service: Service;
  readonly kept: Values;
  readonly stream: string;
  readonly trust: Trust;
  readonly secrets: Secrets;
  readonly claim: Claim | null;
  /** Whether a place on a waiting list will do. */
  readonly waits: boolean;
  /** What is attached, by its hash, and what the files are called. */
  readonly files: ReadonlyMap<string, { readonly name: string; readonly data: Uint8Array }>;
  readonly shown: Plain;
}

/** Why the files did not arrive. */
export type FilesFault = { readonly reason: string; readonly said: { ko: string; en: string } } | "lost";

/** Brings what is attached to the office's store; `progress` hears what part of it has left, from 0 to 1. */
export async function bringFiles(
  asked: Pick<Asked, "service" | "kept" | "stream" | "secrets" | "files">,
  progress: (part: number) => void,
): Promise<FilesFault | null> {
  const attachments = attachmentsOf(asked.service, asked.kept, asked.secrets);
  const files = attachments.map((attachment) => ({
    attachment,
    data: asked.files.get(attachment.hash)?.data ?? new Uint8Array(),
  }));
  return bringAll(asked.stream, files, progress);
}

/** The same for files whose places are known. */
export async function bringAll(
  stream: string,
  files: readonly { readonly attachment: Attachment; readonly data: Uint8Array }[],
  progress: (part: number) => void,
): Promise<FilesFault | null> {
  const sizes = files.reduce((sum, { data }) => sum + data.length, 1);
  let before = 0;
  for (const { attachment, data } of files) {
    const done = await upload({
      url: "",
      stream,
      attachment,
      locked: lockFile(attachment, data),
      progress: (bytes) => progress(Math.min(1, (before + bytes) / sizes)),
    });
    if (done.kind === "lost") return "lost";
    if (done.kind === "refused") return done;
    before += data.length;
  }
  return null;
}

/** A request of checked values, kept on this device and not yet sent. */
export async function makeRequest(wallet: Wallet, asked: Asked): Promise<Request> {
  const { service, secrets } = asked;
  const minute = thisMinute();
  const made = await prepare({ ...asked, minute, me: await myself(wallet) });
  const submission = asked.waits ? withPapers(made, [...(made.papers ?? []), WAIT]) : made;
  const files = [...asked.files].map(([hash, { name }]) => ({ hash, name }));
  return wallet.begin(submission, secrets, { service: service.id, files, shown: asked.shown });
}

const underWay = new Map<string, Promise<Outcome>>();

/** Sends what was kept, and keeps what became of it; the same call meanwhile waits for the same answer. */
export function send(wallet: Wallet, request: Request): Promise<Outcome> {
  const going = underWay.get(request.id);
  if (going !== undefined) return going;
  const sent = deliver(wallet, request).finally(() => underWay.delete(request.id));
  underWay.set(request.id, sent);
  return sent;
}

async function deliver(wallet: Wallet, request: Request): Promise<Outcome> {
  let outcome: Outcome;
  try {
    const submission = parseSubmission(request.submission);
    outcome = await file({ submission, trust: await trust(), urls: await nodes(), waitMs: WAIT_MS });
  } catch (error) {
    if (error instanceof TypeError) return { kind: "unknown" }; // no connection
    throw error;
  }
  await wallet.settle(request.id, outcome);
  if (outcome.kind === "accepted" && (await wallet.draft(request.service))?.request === request.id)
    await wallet.dropDraft(request.service); // it has served
  return outcome;
}

/** Sends again what is not known to be filed, now and whenever there is a connection again. */
export async function sendAgain(wallet: Wallet, done: () => void): Promise<void> {
  const again = async (): Promise<void> => {
    for (const request of await wallet.unsettled()) {
      await send(wallet, request);
      done();
    }
  };
  addEventListener("online", () => void again());
  await again();
}
