/** Where an official gives this browser their keys, sees whose they are, and has them forgotten. */

import { toHex } from "../net/bytes";
import { button, clear, el } from "../ui/dom";
import { forget, type Held, held, keep, readFiles, scopeOf } from "./keys";
import { type PageData, say } from "./words";

export async function keysView(page: PageData): Promise<void> {
  const form = document.getElementById("import") as HTMLFormElement;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void take(page);
  });
  show(page, await held());
}

function show(page: PageData, seat: Held | null): void {
  const box = document.getElementById("held") as HTMLElement;
  (document.getElementById("import") as HTMLFormElement).hidden = seat !== null;
  clear(box);
  if (seat === null) return;
  const drop = button(say(page, "forget"), () => {
    void forget().then(() => {
      show(page, null);
      box.textContent = say(page, "forgotten");
    });
  });
  box.append(
    el("p", {}, el("strong", { text: whoWords(page, seat) })),
    el("p", { class: "hint", text: say(page, seat.secret === null ? "opens_not" : "opens") }),
    el("p", { class: "hint" }, el("code", { text: toHex(seat.signer.public) })),
    el("p", {}, drop),
  );
  const mine = new Set(scopeOf(seat.chain).map((scope) => scope.replace(/^streams:/, "")));
  for (const link of document.querySelectorAll<HTMLElement>("[data-office]"))
    if (mine.has(link.dataset.office ?? "") || mine.has("*")) link.classList.add("mine");
}

/** Who sits here, in a line. */
/** Over which offices somebody has a say; what a grant says of the world around is nothing to the desk. */
export function scopeWords(page: Pick<PageData, "words" | "offices">, scope: readonly string[]): string {
  const streams = scope
    .filter((one) => one.startsWith("streams:"))
    .map((one) => one.slice("streams:".length));
  return streams.map((one) => (one === "*" ? page.words.all_offices : page.offices?.[one]) ?? one).join(", ");
}

function whoWords(page: PageData, seat: Held): string {
  const role = seat.chain.role === "official" ? say(page, "official") : seat.chain.role;
  const scope = scopeWords(page, scopeOf(seat.chain));
  const until = new Date(seat.chain.untilMs).toLocaleDateString(page.language);
  return say(page, "who", { role, scope, until });
}

async function take(page: PageData): Promise<void> {
  const fault = document.getElementById("import-fault") as HTMLElement;
  const texts = await Promise.all(["key-file", "grant-file", "secret-file"].map(textOf));
  const [key = "", grants = "", secret = ""] = texts;
  const read = readFiles(key, grants, secret, Date.now());
  if (typeof read === "string") {
    fault.textContent = say(page, read);
    return;
  }
  fault.textContent = "";
  await keep(read);
  (document.getElementById("import") as HTMLFormElement).reset();
  show(page, await held());
}

/** The text of the file that was chosen; nothing where none was, or one far too large. */
async function textOf(id: string): Promise<string> {
  const [file] = (document.getElementById(id) as HTMLInputElement).files ?? [];
  return file === undefined || file.size > 65_536 ? "" : await file.text();
}
