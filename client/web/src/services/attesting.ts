/**
 * Being verified: an attestor is found, this device is registered with it once, by a login or by a code that an official
 * has given, and from then on it is asked for a claim whenever a form needs one.
 */

import { type Attestor, askClaims, beginLogin, codeIn, findAttestor, register } from "../civic/attestor";
import type { Claim } from "../civic/claims";
import { NotTold } from "../civic/read";
import type { Wallet } from "../civic/wallet";
import { toHex } from "../net/bytes";
import { Malformed } from "../net/msgpack";
import { keepNow, keptNow } from "../state/kept";
import { el } from "../ui/dom";
import { form, labelled, panel, Told } from "./panel";
import { myself, thisMinute } from "./sending";
import { language, named, say } from "./words";

const REGISTERED = "attestors"; // where this device is known, newest first
const UNDER_WAY = "p2pworld login";
const BOOKING = "booking";

/** An attestor that a node believes. */
interface Listed {
  readonly key: string;
  readonly url: string | null;
}

/** A login that has begun. */
interface Login {
  readonly url: string;
  readonly verifier: string;
  readonly back: string;
}

/** The claim for this purpose: one that is kept, or a new one from where this device is known; null if there is none. */
export async function claimFor(wallet: Wallet, purpose: string): Promise<Claim | null> {
  const kept = await wallet.claim(purpose, thisMinute());
  if (kept !== null) return kept;
  for (const url of registered()) {
    try {
      const attestor = await findAttestor(url);
      for (const claim of await askClaims(attestor, await myself(wallet), [purpose], thisMinute()))
        return await wallet.keepClaim(claim);
    } catch (error) {
      if (!(error instanceof NotTold || error instanceof Malformed || error instanceof TypeError))
        throw error;
    }
  }
  return null;
}

function registered(): readonly string[] {
  const kept = keptNow(REGISTERED);
  return Array.isArray(kept) ? kept.filter((url) => typeof url === "string") : [];
}

/** The attestors that this node believes, as far as it says where they are. */
async function listed(): Promise<readonly Listed[]> {
  const answer = await fetch("/api/v1/attestors").catch(() => null);
  if (!answer?.ok) return [];
  const told: unknown = await answer.json();
  return Array.isArray(told) ? (told as Listed[]) : [];
}

/** The panel of the page of keys, with what came of a login that one returns from. */
export async function attestPanel(wallet: Wallet): Promise<HTMLElement> {
  const query = new URLSearchParams(location.search);
  const said = el("p", { class: "notice", attributes: { role: "status" } });
  said.hidden = true;
  const tell = (text: string, back = ""): void => {
    said.hidden = false;
    said.replaceChildren(text);
    if (back !== "") said.append(" ", el("a", { text: say("attestBack"), attributes: { href: back } }));
  };
  await finishLogin(wallet, tell);
  const parts: Node[] = [el("p", { text: say("attestAbout") }), said];
  const known = registered();
  if (known.length > 0) parts.push(el("p", { text: say("attestKnown", { where: known.join(", ") }) }));
  for (const { key, url } of await listed())
    if (url !== null) parts.push(...(await choices(wallet, url, key, query, tell)));
  parts.push(byHand(wallet, query, tell));
  const box = panel(say("attestTitle"), ...parts);
  box.id = "attest";
  return box;
}

type Tell = (text: string, back?: string) => void;

/** What one may do at an attestor: log in there, or type the code of an official. */
async function choices(
  wallet: Wallet,
  url: string,
  key: string,
  query: URLSearchParams,
  tell: Tell,
): Promise<Node[]> {
  let attestor: Attestor;
  try {
    attestor = await findAttestor(url);
  } catch (error) {
    if (!(error instanceof NotTold || error instanceof Malformed || error instanceof TypeError)) throw error;
    return [el("p", { class: "hint", text: say("attestDown", { where: url }) })];
  }
  if (key !== "" && toHex(attestor.key) !== key) return [];
  const made: Node[] = [el("h3", { foreign: named(attestor.name) || attestor.url })];
  if (attestor.ways.includes("login"))
    made.push(form(() => logIn(wallet, attestor, query), say("attestLogin")));
  if (attestor.ways.includes("desk")) {
    const code = el("input", { attributes: { type: "text", autocomplete: "one-time-code" } });
    const run = async (): Promise<string> => {
      if (code.value.trim() === "") throw new Told(say("attestCodeNeeded"));
      await registerAt(wallet, attestor, code.value.trim(), "");
      tell(say("attestDone"), backOf(query));
      return say("attestDone");
    };
    made.push(form(run, say("attestGo"), labelled(say("attestCode"), code, say("attestCodeHint"))));
  }
  return made;
}

/** An attestor that the node does not name, by its address. */
function byHand(wallet: Wallet, query: URLSearchParams, tell: Tell): HTMLElement {
  const address = el("input", { attributes: { type: "url", placeholder: "https://" } });
  const found = el("div");
  const run = async (): Promise<string> => {
    if (!/^https?:\/\/[^/]+/.test(address.value.trim())) throw new Told(say("attestAddressWrong"));
    found.replaceChildren(...(await choices(wallet, address.value.trim(), "", query, tell)));
    return "";
  };
  return el(
    "details",
    {},
    el("summary", { text: say("attestOther") }),
    form(run, say("attestFind"), labelled(say("attestAddress"), address)),
    found,
  );
}

function backOf(query: URLSearchParams): string {
  const back = query.get("back") ?? "";
  return back.startsWith(`/${language}/`) ? back : ""; // nowhere but to a page of ours
}

async function registerAt(wallet: Wallet, attestor: Attestor, code: string, verifier: string): Promise<void> {
  try {
    await register(attestor, await myself(wallet), code, verifier, thisMinute());
    keepNow(REGISTERED, [...new Set([attestor.url, ...registered()])]);
    const purpose = new URLSearchParams(location.search).get("purpose") ?? BOOKING;
    for (const claim of await askClaims(attestor, await myself(wallet), [purpose], thisMinute()))
      await wallet.keepClaim(claim);
  } catch (error) {
    if (error instanceof NotTold) throw new Told(error.said[language === "ko" ? "ko" : "en"] || error.reason);
    if (error instanceof TypeError || error instanceof Malformed)
      throw new Told(say("attestDown", { where: attestor.url }));
    throw error;
  }
}

async function logIn(wallet: Wallet, attestor: Attestor, query: URLSearchParams): Promise<string> {
  const { url, verifier } = await beginLogin(
    attestor,
    await myself(wallet),
    location.origin + location.pathname + location.search,
  ).catch((error: unknown) => {
    if (!(error instanceof NotTold)) throw error;
    throw new Told(error.said[language === "ko" ? "ko" : "en"] || error.reason);
  });
  sessionStorage.setItem(UNDER_WAY, JSON.stringify({ url: attestor.url, verifier, back: backOf(query) }));
  location.assign(url);
  return say("working");
}

/** Ends a login that one has just returned from. */
async function finishLogin(wallet: Wallet, tell: Tell): Promise<void> {
  const found = codeIn(location.hash);
  const kept = sessionStorage.getItem(UNDER_WAY);
  if (found === null || kept === null) return;
  sessionStorage.removeItem(UNDER_WAY);
  history.replaceState(null, "", `${location.pathname}${location.search}#attest`);
  const login = JSON.parse(kept) as Login;
  if (found.kind === "error") {
    tell(say("attestFailed", { reason: found.value }));
    return;
  }
  try {
    await registerAt(wallet, await findAttestor(login.url), found.value, login.verifier);
    tell(say("attestDone"), login.back);
  } catch (error) {
    if (!(error instanceof Told || error instanceof TypeError || error instanceof NotTold)) throw error;
    tell(error instanceof Told ? error.message : say("attestDown", { where: login.url }));
  }
}
