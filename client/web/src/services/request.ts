/** The page of one request: with its keys in this browser, what was sent, what may be done, and its letters. */

import type { Service } from "../civic/form";
import type { Request, Wallet } from "../civic/wallet";
import { el } from "../ui/dom";
import { Acts, type Case } from "./acts";
import { isErased, offerErasure } from "./erasing";
import { showLetters } from "./letters";
import { part, told } from "./page";
import { check, fetchReceipt } from "./proving";
import type { Shown } from "./service";
import { offerSupport } from "./support";
import { named, sentences } from "./words";

interface Data {
  readonly case: Case;
  readonly service: Service | null;
  readonly words: string;
}

const LOOK_MS = 700;
const LOOKS_MOST = 40;

export async function beginRequest(wallet: Wallet): Promise<void> {
  const [, , , stream = "", number = ""] = location.pathname.split("/");
  const entry = Number(number);
  const own = await wallet.at(stream, entry);
  if (document.getElementById("data") === null) {
    if (own !== undefined) await untilKnown();
    return;
  }
  const data = told<Data>();
  beginReceipt(stream, entry, own);
  part("not-mine").hidden = own !== undefined;
  if (own !== undefined) {
    showOwn(own);
    void showLetters(wallet, stream, own);
  } else if (document.getElementById("support") === null) return;
  const words = await sentences(data.words);
  const before = data.case.supporters ?? 0;
  offerSupport(wallet, stream, entry, words, () => void until((of) => (of.supporters ?? 0) > before));
  if (own === undefined) return;
  const box = part("actions");
  box.hidden = false;
  const place = box.querySelector(".acts") as HTMLElement;
  const acts = new Acts(
    wallet,
    own,
    data.case,
    data.service?.attachments ?? null,
    words,
    part("sending", box),
    () => void until(({ seen }) => seen > data.case.seen),
  );
  const forms = acts.forms();
  if (forms.length === 0) place.append(el("p", { text: place.dataset.none ?? "" }));
  else place.append(...forms);
  const erasing = document.querySelector<HTMLElement>("#own .erasing");
  if (erasing !== null)
    await offerErasure(
      erasing,
      wallet,
      own,
      data.case,
      words,
      (entries) => void until((of) => isErased(of, entries)),
    );
}

function beginReceipt(stream: string, entry: number, own: Request | undefined): void {
  const box = part("receipt");
  const buttons = box.querySelector<HTMLElement>(".buttons");
  if (buttons !== null) buttons.hidden = false;
  const place = part("checked");
  part("check").addEventListener("click", () => {
    place.replaceChildren(el("p", { text: "…" }));
    void check(stream, entry, own).then((found) => place.replaceChildren(found));
  });
  part("print").addEventListener("click", () => print());
  const link = part<HTMLAnchorElement>("download");
  link.download = `${stream}-${entry}.receipt`;
  link.addEventListener("click", (event) => {
    event.preventDefault();
    void download(link.download, stream, entry, own);
  });
}

async function download(
  name: string,
  stream: string,
  entry: number,
  own: Request | undefined,
): Promise<void> {
  const receipt = await fetchReceipt(stream, entry).catch((error: unknown) => {
    if (error instanceof TypeError && own?.receipt) return own.receipt;
    throw error;
  });
  const url = URL.createObjectURL(new Blob([Uint8Array.from(receipt)], { type: "text/plain" }));
  el("a", { attributes: { href: url, download: name } }).click();
  URL.revokeObjectURL(url);
}

function showOwn(own: Request): void {
  const box = part("own");
  box.hidden = false;
  box
    .querySelector("dl")
    ?.append(
      ...((own.shown as Shown | null)?.own ?? []).map(({ label, text }) =>
        el("div", {}, el("dt", { text: named(label) }), el("dd", { foreign: text })),
      ),
    );
}

// ---- waiting for the node to have read on

/** Shows the page anew once the node knows the request. */
async function untilKnown(): Promise<void> {
  for (let i = 0; i < LOOKS_MOST; i++) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
    if (answer?.ok) return location.reload();
  }
}

/** Shows the page anew once the node tells of the case what is awaited. */
async function until(isThere: (of: Case) => boolean): Promise<void> {
  for (let i = 0; i < LOOKS_MOST; i++) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
    if (!answer?.ok) continue;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (isThere(told<Data>(page).case)) return location.reload();
  }
}
