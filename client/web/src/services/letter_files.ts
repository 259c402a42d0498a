/** Files that go with a citizen's letter: bounded and looked at by their content, as those of a form are. */

import { FILES, hashOf } from "../civic/attachments";
import { checkFiles } from "../civic/file_type";
import { type AttachmentRules, type FormField, type Sentences, sentenceOf } from "../civic/form";
import { el, unique } from "../ui/dom";
import { language, say } from "./words";

/** A file that was looked at, under its hash. */
export interface Attached {
  readonly hash: string;
  readonly name: string;
  readonly data: Uint8Array;
}

/** The control with which files are chosen, and what becomes of them. */
export class LetterFiles {
  readonly controls: readonly HTMLElement[];
  private readonly input = el("input", { id: unique("files"), attributes: { type: "file", multiple: "" } });

  constructor(
    private readonly rules: AttachmentRules,
    private readonly words: Sentences,
    wrong: string,
  ) {
    const { types, most, bytes_max } = rules;
    const bounds = { types: types.join(", ").toUpperCase(), count: most, limit: bytes_max >> 20 };
    const hint = el("p", { class: "hint", text: say("filesHint", bounds), id: unique("hint") });
    this.input.setAttribute("aria-describedby", `${hint.id} ${wrong}`);
    const label = el("label", { text: say("filesText"), attributes: { for: this.input.id } });
    this.controls = [label, this.input, hint];
  }

  /** What was chosen, each content once, or the sentence of what is wrong. One that is too large is not read. */
  async look(): Promise<readonly Attached[] | string> {
    const chosen = [...(this.input.files ?? [])];
    const { most, bytes_max } = this.rules;
    const fault = (code: string, limit: number) =>
      sentenceOf({ field: FILES, code, label: FIELD.label, limit: String(limit) }, this.words, language);
    if (chosen.length > most) return fault("too-many-files", most);
    if (chosen.some(({ size }) => size > bytes_max)) return fault("file-too-large", bytes_max >> 20);
    const read = await Promise.all(
      chosen.map(async (file) => ({ name: file.name, data: new Uint8Array(await file.arrayBuffer()) })),
    );
    const field = { ...FIELD, schema: { ...FIELD.schema, maxItems: most } };
    const wrong = checkFiles(
      field,
      this.rules,
      read.map(({ data }) => data),
    );
    if (wrong !== null) return sentenceOf(wrong, this.words, language);
    const found = read.map((file) => ({ ...file, hash: hashOf(file.data) }));
    return [...new Map(found.map((file) => [file.hash, file])).values()];
  }
}

/** A letter's files as a field of a form. */
const FIELD: FormField = {
  name: FILES,
  schema: { type: "array", items: { format: "file" } },
  label: { ko: "파일", en: "Files" },
  hint: {},
  error: {},
  choices: {},
  lines: false,
};
