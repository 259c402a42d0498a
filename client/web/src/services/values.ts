/** Between the controls of a form and the values of its fields, and what is wrong beside each. */

import { type FieldFault, type Sentences, type Service, sentenceOf, type Values } from "../civic/form";
import { el } from "../ui/dom";
import { part, tell } from "./page";
import { language, say } from "./words";

/** What somebody filled in; `files` are the hashes of what is attached, by field. */
export function readValues(
  form: HTMLFormElement,
  service: Service,
  files: Readonly<Record<string, readonly string[]>>,
): Values {
  const data = new FormData(form);
  const texts = (name: string) => data.getAll(name).filter((each) => typeof each === "string");
  const values: Record<string, unknown> = {};
  for (const { name, schema } of service.form.fields) {
    const format = schema.format ?? schema.items?.format;
    const [first = ""] = texts(name);
    if (format === "file")
      values[name] = schema.type === "array" ? (files[name] ?? []) : (files[name]?.[0] ?? "");
    else if (schema.type === "integer")
      values[name] = /^[+-]?[0-9]+$/.test(first.trim()) ? Number(first) : first;
    else if (schema.type === "boolean") values[name] = tick(form, name, service);
    else if (schema.type === "array") values[name] = isList(form, name) ? linesOf(first) : texts(name);
    else if (format === "point") values[name] = first.replace(/\s+/g, "");
    else values[name] = first;
  }
  return values;
}

function tick(form: HTMLFormElement, name: string, service: Service): boolean | "" {
  const box = form.elements.namedItem(name);
  if (box instanceof HTMLInputElement && box.checked) return true;
  const field = service.form.fields.find((each) => each.name === name);
  return service.form.required.includes(name) && field?.schema.const === undefined ? false : "";
}

function isList(form: HTMLFormElement, name: string): boolean {
  const control = form.elements.namedItem(name);
  return control instanceof HTMLTextAreaElement && control.dataset.list !== undefined;
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

/** Shows what is wrong beside each field and above the form; nothing wrong clears it all. */
export function showFaults(form: HTMLFormElement, faults: readonly FieldFault[], words: Sentences): void {
  const told = new Map(faults.map((fault) => [fault.field, sentenceOf(fault, words, language)]));
  for (const box of form.querySelectorAll<HTMLElement>("[data-field]")) {
    const name = box.dataset.field as string;
    const sentence = told.get(name);
    box.classList.toggle("wrong", sentence !== undefined);
    const line = part(`f-${name}-error`, box);
    line.hidden = sentence === undefined;
    tell(line, sentence ?? "");
    for (const control of box.querySelectorAll(`[name="${name}"]`))
      if (sentence === undefined) control.removeAttribute("aria-invalid");
      else control.setAttribute("aria-invalid", "true");
  }
  const summary = part("errors", form);
  summary.hidden = faults.length === 0;
  const title = faults.length === 1 ? say("errorOne") : say("errorCount", { count: faults.length });
  tell(part("errors-title", summary), title);
  const list = summary.querySelector("ul") as HTMLUListElement;
  list.replaceChildren(
    ...faults.map((fault) => {
      const link = el("a", { text: told.get(fault.field) ?? "", attributes: { href: `#f-${fault.field}` } });
      link.addEventListener("click", (event) => {
        event.preventDefault();
        focusField(form, fault.field);
      });
      return el("li", {}, link);
    }),
  );
}

function focusField(form: HTMLFormElement, name: string): void {
  const box = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
  const first = box?.querySelector<HTMLElement>("input:not([type=hidden]), select, textarea, a");
  (first ?? (box as HTMLElement | null))?.focus();
  box?.scrollIntoView({ block: "center" });
}

// ---- drafts

/** What stands in the controls, by name. */
export type Texts = Readonly<Record<string, readonly string[]>>;

const HIDDEN = ["lang", "idempotency-key"];

/** The texts of all controls, as they stand. */
export function readTexts(form: HTMLFormElement): Record<string, string[]> {
  const texts: Record<string, string[]> = {};
  for (const [name, value] of new FormData(form))
    if (typeof value === "string" && !HIDDEN.includes(name)) (texts[name] ??= []).push(value);
  return texts;
}

/** Puts texts back into the controls; those that are not mentioned stay as they are. */
export function writeTexts(form: HTMLFormElement, texts: Texts): void {
  for (const [name, values] of Object.entries(texts))
    for (const control of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (control instanceof HTMLInputElement && (control.type === "checkbox" || control.type === "radio"))
        control.checked = values.includes(control.value);
      else if (
        (control instanceof HTMLInputElement && control.type !== "file" && control.type !== "hidden") ||
        control instanceof HTMLTextAreaElement ||
        control instanceof HTMLSelectElement
      )
        control.value = values[0] ?? "";
    }
}
