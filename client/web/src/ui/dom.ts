/** Small typed helpers for elements. Texts go in as text only; there is no way here to make markup from a string. */

export type Child = Node | string | null;

export interface Wishes {
  readonly class?: string;
  readonly id?: string;
  readonly text?: string;
  /** A text of a stranger: shown in its own bidi isolate. */
  readonly foreign?: string;
  readonly label?: string;
  readonly title?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly on?: { readonly [E in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[E]) => void };
}

export function el<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  wishes: Wishes = {},
  ...children: Child[]
): HTMLElementTagNameMap[T] {
  const made = document.createElement(tag);
  if (wishes.class !== undefined) made.className = wishes.class;
  if (wishes.id !== undefined) made.id = wishes.id;
  if (wishes.text !== undefined) made.textContent = wishes.text;
  if (wishes.foreign !== undefined) {
    made.textContent = wishes.foreign;
    made.dir = "auto";
    made.classList.add("foreign");
  }
  if (wishes.label !== undefined) made.setAttribute("aria-label", wishes.label);
  if (wishes.title !== undefined) made.title = wishes.title;
  for (const [name, value] of Object.entries(wishes.attributes ?? {})) made.setAttribute(name, value);
  for (const [name, handler] of Object.entries(wishes.on ?? {}))
    made.addEventListener(name, handler as EventListener);
  for (const child of children) if (child !== null) made.append(child);
  return made;
}

/** A button that says what it does. */
export function button(text: string, press: () => void, wishes: Wishes = {}): HTMLButtonElement {
  const made = el("button", { ...wishes, text });
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}

/** A drawing of strokes in a 24 by 24 square, hidden from readers. */
export function icon(path: string): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const stroke = document.createElementNS(space, "path");
  stroke.setAttribute("d", path);
  svg.append(stroke);
  return svg;
}

/** A button with a drawing; its name is read and shown on hover, or `word` below it on a phone. */
export function iconButton(
  path: string,
  name: string,
  press: () => void,
  keys = "",
  word = "",
): HTMLButtonElement {
  const made = el("button", { class: "tool", label: name, title: keys === "" ? name : `${name} (${keys})` });
  made.type = "button";
  made.append(
    icon(path),
    el("span", { class: "tool-name", text: name, attributes: { "aria-hidden": "true" } }),
  );
  if (word !== "")
    made.append(el("span", { class: "word", text: word, attributes: { "aria-hidden": "true" } }));
  if (keys !== "") made.setAttribute("aria-keyshortcuts", keys);
  made.addEventListener("click", press);
  return made;
}

/** A link with a drawing, named as a button is. */
export function iconLink(path: string, name: string, href: string): HTMLAnchorElement {
  return el(
    "a",
    { class: "tool", label: name, title: name, attributes: { href } },
    icon(path),
    el("span", { class: "tool-name", text: name, attributes: { "aria-hidden": "true" } }),
  );
}

/** A labelled field. */
export function field(label: string, input: HTMLElement, hint = ""): HTMLElement {
  const id = input.id === "" ? unique("field") : input.id;
  input.id = id;
  const box = el("div", { class: "field" }, el("label", { text: label, attributes: { for: id } }), input);
  if (hint !== "") {
    const hintId = `${id}-hint`;
    input.setAttribute("aria-describedby", hintId);
    box.append(el("p", { class: "hint", id: hintId, text: hint }));
  }
  return box;
}

export function choice<T extends string>(
  options: readonly (readonly [T, string])[],
  value: T,
  pick: (value: T) => void,
): HTMLSelectElement {
  const made = el("select");
  for (const [key, text] of options) {
    const option = el("option", { text });
    option.value = key;
    option.selected = key === value;
    made.append(option);
  }
  made.addEventListener("change", () => pick(made.value as T));
  return made;
}

export function toggle(label: string, on: boolean, set: (on: boolean) => void): HTMLElement {
  const box = el("input", { attributes: { type: "checkbox" } });
  box.checked = on;
  box.addEventListener("change", () => set(box.checked));
  return el("label", { class: "toggle" }, box, el("span", { text: label }));
}

let last = 0;
export function unique(stem: string): string {
  last += 1;
  return `${stem}-${last}`;
}

export function clear(node: Element): void {
  node.replaceChildren();
}

/** Whether keys go into a text just now. */
export function typing(): boolean {
  const active = document.activeElement;
  return (
    active instanceof HTMLTextAreaElement ||
    active instanceof HTMLSelectElement ||
    (active instanceof HTMLInputElement && active.type !== "checkbox" && active.type !== "radio")
  );
}
