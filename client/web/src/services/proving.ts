/**
 * Check it yourself: the receipt of a request is verified here, against the record's keys, by the page alone. With the
 * request kept on this device that proves what was filed; without it, that the public part stands in the record.
 */

import { openCheckpoint, parseCheckpoint, toBase64, witnessesOf } from "../civic/note";
import { bundlePath, entryIn } from "../civic/read";
import { checkFiled, checkInclusion, leafHash, type Proven, parseReceipt } from "../civic/receipt";
import { parseLeaf, parseSubmission } from "../civic/transaction";
import type { Request } from "../civic/wallet";
import { Malformed } from "../net/msgpack";
import { el } from "../ui/dom";
import { trust } from "./city";
import { say } from "./words";

const TILE_WIDTH = 256;

/** The newest receipt that this node has. */
export async function fetchReceipt(stream: string, entry: number): Promise<Uint8Array> {
  const answer = await fetch(`/civic/receipt/${stream}/${entry}`, { cache: "no-store" });
  if (!answer.ok) throw new TypeError(`no receipt: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Verifies, and says what was found. */
export async function check(stream: string, entry: number, own: Request | undefined): Promise<HTMLElement> {
  let receipt: Uint8Array;
  try {
    receipt = await fetchReceipt(stream, entry);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    if (!own?.receipt) return el("p", { class: "notice", text: say("checkLost") });
    receipt = own.receipt;
  }
  try {
    const found =
      own === undefined ? await ofPublic(receipt, stream, entry) : await ofOwn(receipt, entry, own);
    return told(found, own !== undefined);
  } catch (error) {
    if (error instanceof TypeError) return el("p", { class: "notice", text: say("checkLost") });
    if (!(error instanceof Malformed)) throw error;
    return el(
      "div",
      { class: "checked bad" },
      el("h3", { text: say("checkNo") }),
      el("p", { text: say("checkAlarm") }),
      el("p", { class: "hint" }, el("code", { text: error.message })),
    );
  }
}

type Found = Pick<Proven, "index" | "checkpoint" | "witnesses" | "quorum">;

async function ofOwn(receipt: Uint8Array, entry: number, own: Request): Promise<Found> {
  const proven = await checkFiled(receipt, parseSubmission(own.submission), await trust());
  if (proven.index !== entry) throw new Malformed("receipt-index");
  return proven;
}

/** The same of a stranger's request: the entry is read from the record as it is published. */
async function ofPublic(data: Uint8Array, stream: string, entry: number): Promise<Found> {
  const receipt = parseReceipt(data);
  const { size } = parseCheckpoint(receipt.checkpoint.text);
  const { origin, keys, witnesses, quorum } = (await trust()).policy(stream, size);
  const checkpoint = await openCheckpoint(receipt.checkpoint, origin, keys, witnesses);
  if (receipt.index !== entry) throw new Malformed("receipt-index");
  const leaf = await fetchEntry(stream, entry, size);
  checkInclusion(leafHash(leaf), entry, checkpoint, receipt.proof);
  parseLeaf(leaf);
  return { index: entry, checkpoint, witnesses: witnessesOf(checkpoint), quorum };
}

async function fetchEntry(stream: string, entry: number, size: number): Promise<Uint8Array> {
  const answer = await fetch(`/log/${stream}/${bundlePath(entry, size)}`);
  if (!answer.ok) throw new TypeError(`no entries: ${answer.status}`);
  return entryIn(new Uint8Array(await answer.arrayBuffer()), entry % TILE_WIDTH);
}

function told({ index, checkpoint, witnesses, quorum }: Found, own: boolean): HTMLElement {
  const lines = [
    say("checkEntry", { origin: checkpoint.origin, index }),
    say(own ? "checkContent" : "checkPublic"),
    say("checkSigned", { size: checkpoint.size }),
    witnesses > 0 || quorum > 0
      ? say("checkWitnesses", { count: witnesses, quorum })
      : say("checkWitnessless"),
    say("checkRoot", { root: toBase64(checkpoint.root) }),
  ];
  return el(
    "div",
    { class: "checked" },
    el("h3", { text: say("checkYes") }),
    el("ul", {}, ...lines.map((text) => el("li", { text }))),
  );
}
