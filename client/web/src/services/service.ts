/** The page of a service: its form keeps a draft as one types, says what is wrong, and files the request once. */

import { check, dayInSeoul, type Sentences, type Service, streamOf, type Values } from "../civic/form";
import type { GuOf } from "../civic/gu";
import { el } from "../ui/dom";
import { guOf, seoul } from "./city";
import { Files } from "./files";
import { part, tell, told } from "./page";
import { enhancePoint } from "./point";
import { isListed } from "./requests";
import { makeRequest, send } from "./sending";
import { enhanceSlots } from "./slots";
import type { KeptRequest, Store } from "./store";
import { readTexts, readValues, showFaults, writeTexts } from "./values";
import { language, named, reason, say, sentences } from "./words";

const DRAFT_MS = 400;

interface Data {
  readonly service: Service;
  readonly facilities: Readonly<Record<string, string>>;
  readonly words: string;
}

export async function beginService(store: Store): Promise<void> {
  const data = told<Data>();
  const form = new ServiceForm(store, data, await sentences(data.words));
  await form.begin();
}

class ServiceForm {
  private readonly form = part<HTMLFormElement>("form");
  private readonly status = part("sending");
  private readonly eraser = part<HTMLButtonElement>("erase-draft");
  private readonly sender = part<HTMLButtonElement>("send");
  private readonly files: Files;
  private guOf: GuOf = () => null;
  private timer = 0;
  private busy = false;
  private tried = false;
  private request: string | undefined;

  constructor(
    private readonly store: Store,
    private readonly data: Data,
    private readonly words: Sentences,
  ) {
    this.files = new Files(this.form, data.service.attachments, () => this.edited());
  }

  async begin(): Promise<void> {
    const { form } = this;
    form.noValidate = true;
    enhanceSlots(form, this.data.service.id);
    await this.restore();
    form.addEventListener("input", () => this.edited());
    form.addEventListener("change", () => this.edited());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit();
    });
    this.eraser.addEventListener("click", () => void this.erase());
    addEventListener("visibilitychange", () => void this.keep());
    addEventListener("pagehide", () => void this.keep());
    const points = form.querySelectorAll<HTMLElement>("[data-point]");
    if (points.length > 0) {
      const [drawn, found] = await Promise.all([seoul(), guOf()]);
      this.guOf = found;
      for (const box of points) enhancePoint(box, drawn, found);
    }
    const cases = form.querySelectorAll("datalist[data-cases]");
    if (cases.length > 0)
      for (const { entry, stream, title } of await this.store.requests())
        if (entry !== undefined)
          for (const list of cases)
            list.append(el("option", { text: named(title), attributes: { value: `${stream}/${entry}` } }));
    form.dataset.ready = "";
  }

  // ---- the draft

  private async restore(): Promise<void> {
    const draft = await this.store.draft(this.data.service.id);
    if (draft === undefined) return;
    this.request = draft.request;
    const asked = new URLSearchParams(location.search);
    const { facility, slot, ...values } = draft.values;
    writeTexts(this.form, values);
    if (facility && !asked.has("facility")) writeTexts(this.form, { facility });
    for (const [name, files] of Object.entries(draft.files)) this.files.set(name, files);
    if (facility && !asked.has("facility"))
      this.form.dispatchEvent(new CustomEvent("restored", { detail: { slot: slot?.[0] } }));
    this.eraser.hidden = false;
    tell(this.status, say("draftBack"));
  }

  private edited(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.keep(), DRAFT_MS);
    this.eraser.hidden = false;
    if (this.tried) void this.look();
  }

  private async keep(): Promise<void> {
    if (this.timer === 0) return; // nothing has been written since it was kept
    clearTimeout(this.timer);
    this.timer = 0;
    await this.keepDraft();
    this.form.dataset.kept = String(Number(this.form.dataset.kept ?? 0) + 1);
  }

  private keepDraft(): Promise<void> {
    return this.store.keepDraft({
      service: this.data.service.id,
      values: readTexts(this.form),
      files: this.files.all,
      ...(this.request !== undefined && { request: this.request }),
    });
  }

  private async erase(): Promise<void> {
    if (!confirm(say("draftErase"))) return;
    clearTimeout(this.timer);
    this.timer = 0;
    await this.store.dropDraft(this.data.service.id);
    location.replace(location.pathname);
  }

  // ---- filing

  /** Takes away what is right by now of what was told to be wrong; nothing new is told, and no focus moves. */
  private async look(): Promise<void> {
    const told = new Set(
      [...this.form.querySelectorAll<HTMLElement>(".wrong")].map(({ dataset }) => dataset.field),
    );
    if (told.size === 0) return;
    const files = await this.read();
    const { faults } = this.checked(files.hashes);
    const left = [...faults, ...files.faults].filter(({ field }) => told.has(field));
    if (left.length < told.size) showFaults(this.form, left, this.words);
  }

  private read(): ReturnType<Files["read"]> {
    const labels = new Map(this.data.service.form.fields.map(({ name, label }) => [name, label]));
    return this.files.read(labels, () => null);
  }

  private checked(hashes: Record<string, string[]>): ReturnType<typeof check> {
    const values = readValues(this.form, this.data.service, hashes);
    return check(this.data.service, values, dayInSeoul(Date.now()), this.guOf);
  }

  private async submit(): Promise<void> {
    if (this.busy) return; // the second of two clicks
    this.busy = true;
    this.sender.setAttribute("aria-disabled", "true");
    try {
      await this.keep();
      this.tried = true;
      const files = await this.read();
      const { kept, faults } = this.checked(files.hashes);
      const wrong = [...faults, ...files.faults];
      showFaults(this.form, wrong, this.words);
      if (wrong.length > 0) {
        part("errors").focus();
        tell(this.status, "");
        return;
      }
      tell(this.status, say("sending"));
      await this.file(kept);
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
      tell(this.status, error instanceof RangeError ? say("tooLarge") : say("waiting"));
    } finally {
      this.busy = false;
      this.sender.removeAttribute("aria-disabled");
    }
  }

  private async file(kept: Values): Promise<void> {
    const { service, facilities } = this.data;
    const stream = streamOf(service, kept, this.guOf, (id) => facilities[id] ?? null);
    const earlier = await this.earlier();
    const same = earlier !== undefined && earlier.of === JSON.stringify(kept);
    if (earlier !== undefined && !same && !(await this.settled(earlier))) return;
    const request = same
      ? earlier
      : stream === null
        ? null
        : await makeRequest(this.store, service, kept, stream, (name, text) => this.shown(name, text));
    if (request === null) {
      tell(this.status, say("noOffice"));
      return;
    }
    this.request = request.key;
    await this.keepDraft();
    const outcome = await send(this.store, request);
    switch (outcome.kind) {
      case "accepted":
        return this.filed(request, outcome.index);
      case "refused":
        this.request = undefined;
        await this.store.dropRequest(request.key);
        await this.keepDraft();
        tell(this.status, say("refused", { why: reason(this.words, outcome.reason, outcome.said) }));
        return;
      case "unknown":
        tell(this.status, say("waiting"));
        addEventListener("online", () => this.form.requestSubmit(), { once: true });
    }
  }

  private async filed(request: KeptRequest, entry: number): Promise<void> {
    clearTimeout(this.timer);
    this.timer = 0;
    tell(this.status, say("accepted", { number: `${request.stream}/${entry}` }));
    await isListed(request.key);
    location.assign(`/${language}/requests/${request.stream}/${entry}`);
  }

  /** The request that was made of this draft before, and of which nobody knows whether it was filed. */
  private async earlier(): Promise<KeptRequest | undefined> {
    const request = this.request === undefined ? undefined : await this.store.request(this.request);
    return request?.entry === undefined && request?.refused === undefined ? request : undefined;
  }

  /** Whether an earlier request, of other values, is known not to be in the record; if it is there, that is shown. */
  private async settled(earlier: KeptRequest): Promise<boolean> {
    const outcome = await send(this.store, earlier);
    if (outcome.kind === "refused") await this.store.dropRequest(earlier.key);
    if (outcome.kind === "accepted") await this.filed(earlier, outcome.index);
    if (outcome.kind === "unknown") tell(this.status, say("waiting"));
    return outcome.kind === "refused";
  }

  /** A value as the person reads it later. */
  private shown(name: string, text: string): string {
    const field = this.data.service.form.fields.find((each) => each.name === name);
    const format = field?.schema.format ?? field?.schema.items?.format;
    if (format === "file")
      return this.files
        .of(name)
        .map((file) => file.name)
        .join("\n");
    const choice = field?.choices[text];
    if (choice !== undefined) return named(choice);
    if (text === "true" || text === "false") return say(text === "true" ? "yes" : "no");
    const control = this.form.elements.namedItem(name);
    if (control instanceof HTMLSelectElement) return control.selectedOptions[0]?.text ?? text;
    if (field?.schema.type === "array")
      return (JSON.parse(text) as string[])
        .map((each) => named(field.choices[each] ?? { en: each }))
        .join("\n");
    return text;
  }
}
