/**
 * What a citizen keeps in this browser: who they are, what they have filed with its secrets and receipts, claims, and
 * what they have begun to write.
 *
 * A request is kept before it is sent (`begin`), so that nothing that may have been filed is ever lost, and settled when
 * it is known what became of it; `unsettled` are those to be sent again. `exported` gives all of it but the device's own
 * key, its claims, and files of drafts, as a text locked with a passphrase; `take` brings that into another browser,
 * which then is one more device of the same person. `recover` does so for the person alone, from the nine words. What a
 * page keeps of its own with a request or a draft (`shown`, `values`) is plain values, as JSON has them.
 */

import { fromHex, toHex } from "../net/bytes";
import { type Signer, signerOfSeed } from "../net/keys";
import { type Claim, fits, parseClaim } from "./claims";
import type { Outcome } from "./filer";
import { ENTROPY_BYTES, rootOf, signDevice, signLost, wordsOf } from "./identity";
import { openText, sealText } from "./passphrase";
import { openStore, type Store } from "./store";
import { parseSubmission, type Secrets, type Submission, submissionBytes } from "./transaction";

const ME = "me";

/** The person, and this device of theirs. */
export interface Me {
  /** The root's public key, by which an office knows that two devices are one person's. */
  readonly root: Uint8Array;
  /** The nine words; null once this device has forgotten the root. */
  readonly words: string | null;
  /** Signs what is filed. */
  readonly device: Signer;
  readonly seed: Uint8Array;
  readonly label: string;
  /** The root's word for this device, as one line. */
  readonly line: string;
  /** The root's word for each device it has signed here, and for those that are lost. */
  readonly devices: readonly string[];
  readonly lost: readonly string[];
}

/** What became of a request: on its way, in the log, or not taken. */
export type Standing = "sending" | "accepted" | "refused";

/** A filing, or an act on one (`about` is the id of that), as it is kept. */
export interface Request {
  /** The key of the filing in hex. */
  readonly id: string;
  readonly stream: string;
  /** Its number in the log, once it is there. */
  readonly entry: number | null;
  /** The service, or the action of an act. */
  readonly service: string;
  readonly about: string | null;
  readonly minute: number;
  readonly submission: Uint8Array;
  readonly secrets: Secrets;
  readonly receipt: Uint8Array | null;
  readonly standing: Standing;
  readonly reason: string | null;
  /** Hashes of what is attached, as the form has them, with the files' own names. */
  readonly files: readonly { readonly hash: string; readonly name: string }[];
  /** What a page wants to show of it. */
  readonly shown: Plain;
}

export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [name: string]: Plain };

/** What somebody has begun to fill in, and the files by field. */
export interface Draft {
  readonly service: string;
  readonly values: Plain;
  readonly files: Readonly<Record<string, readonly File[]>>;
  /** Those of the request that it becomes, once a file has been brought under them. */
  readonly secrets: Secrets | null;
  /** The id of the request that was made of just these values, if one was. */
  readonly request: string | null;
  readonly savedMs: number;
}

interface KeptPerson {
  readonly entropy: Uint8Array | null;
  readonly root: Uint8Array;
  readonly seed: Uint8Array;
  readonly label: string;
  readonly line: string;
  readonly devices: readonly string[];
  readonly lost: readonly string[];
}

/** The wallet of this browser. */
export async function openWallet(): Promise<Wallet> {
  return new Wallet(await openStore());
}

export class Wallet {
  constructor(private readonly store: Store) {}

  /** Whether it outlives the page: if not, the person should be told to export it. */
  get lasting(): boolean {
    return this.store.lasting;
  }

  // ---- the person

  /** The person; made at the first call, with this device called `label`. */
  async me(minute: number, label = ""): Promise<Me> {
    const there = await this.store.get<KeptPerson>("person", ME);
    if (there !== undefined) return readPerson(there);
    const made = await newPerson(random(ENTROPY_BYTES), label, minute);
    return readPerson(await this.store.change<KeptPerson>("person", ME, (meanwhile) => meanwhile ?? made));
  }

  /** This browser becomes one more device of the person with these words (`entropyOf`); its own key is a new one. */
  async recover(entropy: Uint8Array, minute: number, label: string): Promise<Me> {
    const made = await newPerson(entropy, label, minute);
    return readPerson(
      await this.store.change<KeptPerson>("person", ME, (there) => {
        if (there === undefined || toHex(there.root) !== toHex(made.root)) return made;
        const devices = [...new Set([...there.devices, ...made.devices])];
        return { ...made, devices, lost: there.lost };
      }),
    );
  }

  /** Forgets the root: from now on only the words bring it back. */
  async forgetRoot(): Promise<void> {
    await this.changePerson((there) => ({ ...there, entropy: null }));
  }

  /** The root's word that a device is lost, kept and to be shown to attestors; null where the root is not here. */
  async lose(device: Uint8Array, minute: number): Promise<string | null> {
    const there = await this.store.get<KeptPerson>("person", ME);
    if (!there?.entropy) return null;
    const line = await signLost(rootOf(there.entropy), device, minute);
    await this.changePerson((now) => ({ ...now, lost: [...new Set([...now.lost, line])] }));
    return line;
  }

  private async changePerson(made: (there: KeptPerson) => KeptPerson): Promise<void> {
    await this.store.change<KeptPerson>("person", ME, (there) => {
      if (there === undefined) throw new RangeError("there is no person here yet");
      return made(there);
    });
  }

  // ---- what was filed

  /** Keeps what is about to be sent. */
  async begin(
    submission: Submission,
    secrets: Secrets,
    what: Pick<Request, "service"> & Partial<Pick<Request, "about" | "files" | "shown">>,
  ): Promise<Request> {
    const { stream, minute, key } = submission.filing;
    const request: Request = {
      id: toHex(key),
      stream,
      entry: null,
      service: what.service,
      about: what.about ?? null,
      minute,
      submission: submissionBytes(submission),
      secrets,
      receipt: null,
      standing: "sending",
      reason: null,
      files: what.files ?? [],
      shown: what.shown ?? null,
    };
    await this.store.put("requests", request.id, request);
    return request;
  }

  /** Writes down what became of it; a receipt is never given up again, and a later one takes its place. */
  settle(id: string, outcome: Outcome): Promise<Request> {
    return this.store.change<Request>("requests", id, (there) => {
      if (there === undefined) throw new RangeError("this was never begun");
      if (outcome.kind === "accepted") {
        const { index: entry, receipt } = outcome;
        return { ...there, entry, receipt, standing: "accepted", reason: null };
      }
      if (outcome.kind === "unknown" || there.standing === "accepted") return there;
      return { ...there, standing: "refused", reason: outcome.reason };
    });
  }

  /** What was filed, the newest first, without acts. */
  async requests(): Promise<Request[]> {
    const all = await this.store.all<Request>("requests");
    return all.filter(({ about }) => about === null).sort((a, b) => b.minute - a.minute);
  }

  /** What was done with a request, the oldest first. */
  async acts(id: string): Promise<Request[]> {
    const all = await this.store.all<Request>("requests");
    return all.filter(({ about }) => about === id).sort((a, b) => a.minute - b.minute);
  }

  request(id: string): Promise<Request | undefined> {
    return this.store.get("requests", id);
  }

  /** The request that is this entry of a log. */
  async at(stream: string, entry: number): Promise<Request | undefined> {
    const all = await this.store.all<Request>("requests");
    return all.find((each) => each.stream === stream && each.entry === entry);
  }

  /** What may have been filed, or not: to be sent again as it is. */
  async unsettled(): Promise<Request[]> {
    return (await this.store.all<Request>("requests")).filter(({ standing }) => standing === "sending");
  }

  forget(id: string): Promise<void> {
    return this.store.delete("requests", id);
  }

  // ---- drafts

  draft(service: string): Promise<Draft | undefined> {
    return this.store.get("drafts", service);
  }

  async drafts(): Promise<Draft[]> {
    return (await this.store.all<Draft>("drafts")).sort((a, b) => b.savedMs - a.savedMs);
  }

  keepDraft(draft: Draft): Promise<void> {
    return this.store.put("drafts", draft.service, draft);
  }

  dropDraft(service: string): Promise<void> {
    return this.store.delete("drafts", service);
  }

  // ---- claims

  /** Keeps a claim that an attestor has given; throws `Malformed` if it is none. */
  async keepClaim(data: Uint8Array): Promise<Claim> {
    const claim = await parseClaim(data);
    await this.store.put("claims", claim.purpose, data);
    return claim;
  }

  /** The claim that may be shown for this purpose now, or null. */
  async claim(purpose: string, minute: number): Promise<Claim | null> {
    const data = await this.store.get<Uint8Array>("claims", purpose);
    const person = await this.store.get<KeptPerson>("person", ME);
    if (data === undefined || person === undefined) return null;
    const claim = await parseClaim(data);
    return fits(claim, purpose, person.seed, minute) ? claim : null;
  }

  // ---- from one browser to another

  /** All of it but this device's own key and its claims, as a text that only the passphrase opens. */
  async exported(passphrase: string, cost?: number): Promise<string> {
    const person = await this.store.get<KeptPerson>("person", ME);
    const requests = await this.store.all<Request>("requests");
    const drafts = (await this.drafts()).map((draft) => ({ ...draft, files: {} }));
    const { entropy = null, devices = [], lost = [] } = person ?? {};
    const all = JSON.stringify({ entropy, devices, lost, requests, drafts }, (_, value) =>
      value instanceof Uint8Array ? { hex: toHex(value) } : value,
    );
    return sealText(all, passphrase, cost);
  }

  /**
   * Takes what another browser has exported: its person, if that has its root, and requests and drafts that are not here.
   * How many requests are new; throws `Malformed`: another passphrase or altered (`seal`), or no such text (`wallet`).
   */
  async take(exported: string, passphrase: string, minute: number, label: string): Promise<number> {
    const all = JSON.parse(await openText(exported, passphrase), (_, value) =>
      typeof value?.hex === "string" ? fromHex(value.hex) : value,
    ) as KeptPerson & { requests: Request[]; drafts: Draft[] };
    if (all.entropy !== null) {
      await this.recover(all.entropy, minute, label);
      await this.changePerson((there) => ({
        ...there,
        devices: [...new Set([...all.devices, ...there.devices])],
        lost: [...new Set([...all.lost, ...there.lost])],
      }));
    }
    let added = 0;
    for (const request of all.requests) {
      const id = toHex(parseSubmission(request.submission).filing.key);
      await this.store.change<Request>("requests", id, (there) => {
        if (there === undefined) added += 1;
        return there === undefined || there.standing === "sending" ? { ...request, id } : there;
      });
    }
    for (const draft of all.drafts)
      await this.store.change<Draft>("drafts", draft.service, (there) =>
        there === undefined || there.savedMs < draft.savedMs ? draft : there,
      );
    return added;
  }
}

function random(size: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(size));
}

async function newPerson(entropy: Uint8Array, label: string, minute: number): Promise<KeptPerson> {
  const [root, seed] = [rootOf(entropy), random(32)];
  const line = await signDevice(root, signerOfSeed(seed).public, label, minute);
  return { entropy, root: root.public, seed, label, line, devices: [line], lost: [] };
}

function readPerson({ entropy, seed, ...kept }: KeptPerson): Me {
  return { ...kept, seed, device: signerOfSeed(seed), words: entropy && wordsOf(entropy) };
}
