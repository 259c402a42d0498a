/** Files of a form: looked at, named and taken out again before anything is sent; hashed for the filing. */

import { hashOf } from "../civic/attachments";
import { checkFiles } from "../civic/file_type";
import type { FieldFault, Service } from "../civic/form";
import { button, el } from "../ui/dom";
import { part } from "./page";
import { say } from "./words";

/** What was chosen: the hashes by field, each file by its hash, and what is wrong. */
export interface Looked {
  readonly hashes: Readonly<Record<string, readonly string[]>>;
  readonly files: ReadonlyMap<string, { readonly name: string; readonly data: Uint8Array }>;
  readonly faults: readonly FieldFault[];
}

export class Files {
  private readonly chosen = new Map<string, readonly File[]>();

  constructor(
    private readonly form: HTMLFormElement,
    private readonly service: Service,
    private readonly changed: () => void,
  ) {
    for (const input of form.querySelectorAll<HTMLInputElement>("input[data-files]"))
      input.addEventListener("change", () => {
        const before = input.multiple ? this.of(input.name) : [];
        this.set(input.name, [...before, ...(input.files ?? [])]);
        input.value = "";
        changed();
      });
  }

  of(name: string): readonly File[] {
    return this.chosen.get(name) ?? [];
  }

  /** All files, by field. */
  get all(): Record<string, readonly File[]> {
    return Object.fromEntries(this.chosen);
  }

  set(name: string, files: readonly File[]): void {
    const same = (a: File, b: File) => a.name === b.name && a.size === b.size;
    this.chosen.set(
      name,
      files.filter((file, i) => files.findIndex((each) => same(each, file)) === i),
    );
    this.show(name);
  }

  private show(name: string): void {
    const list = part(`f-${name}-list`, this.form);
    list.replaceChildren(
      ...this.of(name).map((file) => {
        const remove = (): void => {
          const left = this.of(name).filter((each) => each !== file);
          this.set(name, left);
          this.form.querySelector<HTMLElement>(`input[name="${name}"]`)?.focus();
          this.changed();
        };
        const away = button(say("erase"), remove, { label: say("remove", { name: file.name }) });
        const size = `${Math.max(1, Math.round(file.size / 1024)).toLocaleString()} KiB`;
        return el(
          "li",
          {},
          el("span", { foreign: file.name }),
          el("span", { class: "hint", text: size }),
          away,
        );
      }),
    );
  }

  /** Looks at the content of all files. One that is too large is not read. */
  async look(): Promise<Looked> {
    const hashes: Record<string, string[]> = {};
    const files = new Map<string, { name: string; data: Uint8Array }>();
    const faults: FieldFault[] = [];
    const rules = this.service.attachments;
    for (const [name, chosen] of this.chosen) {
      const field = this.service.form.fields.find((each) => each.name === name);
      if (field === undefined || rules === null) continue;
      const large = chosen.find((file) => file.size > rules.bytes_max);
      if (large !== undefined) {
        const limit = String(rules.bytes_max >> 20);
        faults.push({ field: name, code: "file-too-large", label: field.label, limit });
        continue;
      }
      const read = await Promise.all(chosen.map(async (file) => new Uint8Array(await file.arrayBuffer())));
      const fault = checkFiles(field, rules, read);
      if (fault !== null) faults.push(fault);
      const found = read.map(hashOf);
      found.forEach((hash, i) => {
        files.set(hash, { name: chosen[i]?.name ?? "", data: read[i] as Uint8Array });
      });
      hashes[name] = [...new Set(found)];
    }
    return { hashes, files, faults };
  }
}
