/** Pieces of the page of keys: a panel, a labelled control, and a form that says what came of it. */

import { el, unique } from "../ui/dom";
import { tell } from "./page";
import { say } from "./words";

/** Something that the person is told instead of it being done. */
export class Told extends Error {}

export function panel(title: string, ...body: Node[]): HTMLElement {
  const heading = el("h2", { text: title, id: unique("panel") });
  return el("section", { class: "panel", attributes: { "aria-labelledby": heading.id } }, heading, ...body);
}

export function labelled(text: string, input: HTMLElement, hint = ""): HTMLElement {
  input.id = unique("input");
  const box = el("div", {}, el("label", { text, attributes: { for: input.id } }));
  if (hint !== "") {
    const told = el("p", { class: "hint", text: hint, id: unique("hint") });
    input.setAttribute("aria-describedby", told.id);
    box.append(told);
  }
  box.append(input);
  return box;
}

/** A form whose answer is told below it, and so is what goes wrong with a sentence (`Told`). */
export function form(run: () => Promise<string>, go: string, ...body: Node[]): HTMLFormElement {
  const line = el("p", { class: "sending", attributes: { role: "status" } });
  const press = el("button", { text: go, class: "primary", attributes: { type: "submit" } });
  const made = el("form", { attributes: { novalidate: "" } }, ...body, el("p", {}, press), line);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    tell(line, say("working"));
    run().then(
      (text) => tell(line, text),
      (error: unknown) => {
        tell(line, error instanceof Told ? error.message : "");
        if (!(error instanceof Told)) throw error;
      },
    );
  });
  return made;
}
