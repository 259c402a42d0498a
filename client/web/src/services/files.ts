/** Files of a form: looked at, named and taken out again before anything is sent; hashed for the filing. */

import type { AttachmentRules, FieldFault, Words } from "../civic/form";
import { toHex } from "../net/bytes";
import { sha256 } from "../net/keys";
import { button, el } from "../ui/dom";
import { part } from "./page";
import { say } from "./words";

/** What is wrong with the content of a file, if anything is: a code of the node's sentences. */
export type Look = (bytes: Uint8Array, name: string) => string | null;

export class Files {
  private readonly chosen = new Map<string, File[]>();

  constructor(
    private readonly form: HTMLFormElement,
    private readonly rules: AttachmentRules | null,
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
  get all(): Record<string, File[]> {
    return Object.fromEntries(this.chosen);
  }

  set(name: string, files: readonly File[]): void {
    const unlike = files.filter(
      (file, i) => files.findIndex((each) => each.name === file.name && each.size === file.size) === i,
    );
    this.chosen.set(name, unlike);
    this.show(name);
  }

  private show(name: string): void {
    const list = part(`f-${name}-list`, this.form);
    list.replaceChildren(
      ...this.of(name).map((file) => {
        const away = button(
          say("erase"),
          () => {
            this.set(
              name,
              this.of(name).filter((each) => each !== file),
            );
            this.form.querySelector<HTMLElement>(`input[name="${name}"]`)?.focus();
            this.changed();
          },
          { label: say("remove", { name: file.name }) },
        );
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

  /** The hash of each file by field, and what is wrong with any. */
  async read(
    labels: ReadonlyMap<string, Words>,
    look: Look,
  ): Promise<{ hashes: Record<string, string[]>; bytes: Map<string, Uint8Array>; faults: FieldFault[] }> {
    const hashes: Record<string, string[]> = {};
    const bytes = new Map<string, Uint8Array>();
    const faults: FieldFault[] = [];
    const most = this.rules?.bytes_max ?? 0;
    for (const [name, files] of this.chosen) {
      const label = labels.get(name) ?? {};
      hashes[name] = [];
      for (const file of files) {
        if (file.size > most) {
          faults.push({ field: name, code: "file-too-large", label, limit: String(most >> 20) });
          continue;
        }
        const data = new Uint8Array(await file.arrayBuffer());
        const wrong = look(data, file.name);
        if (wrong !== null)
          faults.push({ field: name, code: wrong, label, limit: (this.rules?.types ?? []).join(", ") });
        const hash = toHex(sha256(data));
        if (!hashes[name]?.includes(hash)) hashes[name]?.push(hash);
        bytes.set(hash, data);
      }
    }
    return { hashes, bytes, faults };
  }
}
