/** The page of a service: its form keeps a draft as one types, says what is wrong, and files the request once. */

import { type Claim, purposeOf } from "../civic/claims";
import { check, dayInSeoul, type Sentences, type Service, streamOf, type Values } from "../civic/form";
import type { GuOf } from "../civic/gu";
import { newSecrets, type Secrets } from "../civic/transaction";
import type { Plain, Request, Wallet } from "../civic/wallet";
import { el } from "../ui/dom";
import { claimFor } from "./attesting";
import { guOf, seoul, trust } from "./city";
import { Files, type Looked } from "./files";
import { part, tell, told } from "./page";
import { enhancePoint } from "./point";
import { isListed } from "./requests";
import { bringFiles, makeRequest, send } from "./sending";
import { enhanceSlots } from "./slots";
import { readTexts, readValues, showFaults, type Texts, writeTexts } from "./values";
import { language, named, reason, say, sentences } from "./words";

const DRAFT_MS = 400;
const AGAIN_MS = 5_000; // after which what had no answer is sent again

interface Data {
  readonly service: Service;
  readonly facilities: Readonly<Record<string, { readonly gu: string; readonly capacity: number }>>;
  readonly words: string;
}

export async function beginService(wallet: Wallet): Promise<void> {
  const data = told<Data>();
  await new ServiceForm(wallet, data, await sentences(data.words)).begin();
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
  /** Sends nothing later by itself any more. */
  private notLater = (): void => {};
  /** The request that was made of this draft, as long as nobody knows whether it was filed. */
  private request: string | null = null;
  private secrets: Secrets | null = null;

  constructor(
    private readonly wallet: Wallet,
    private readonly data: Data,
    private readonly words: Sentences,
  ) {
    this.files = new Files(this.form, data.service, () => this.edited());
  }

  async begin(): Promise<void> {
    const { form } = this;
    form.noValidate = true;
    enhanceSlots(form, this.data.service.id);
    const facility = form.querySelector<HTMLSelectElement>("select[name=facility]");
    facility?.addEventListener("change", () => this.fit(facility.value));
    await this.restore();
    if (facility !== null) this.fit(facility.value);
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
    await this.listCases();
    form.dataset.ready = "";
  }

  /** As many may come as the chosen place has room for. */
  private fit(facility: string): void {
    const { service, facilities } = this.data;
    for (const { name, schema } of service.form.fields) {
      const control = service.party.includes(name) ? this.form.elements.namedItem(name) : null;
      const most = Math.min(
        Number(schema.maximum),
        facilities[facility]?.capacity ?? Number.POSITIVE_INFINITY,
      );
      if (control instanceof HTMLInputElement) control.max = String(most);
    }
  }

  private async listCases(): Promise<void> {
    const lists = this.form.querySelectorAll("datalist[data-cases]");
    if (lists.length === 0) return;
    for (const { entry, stream, service } of await this.wallet.requests())
      if (entry !== null)
        for (const list of lists)
          list.append(el("option", { text: service, attributes: { value: `${stream}/${entry}` } }));
  }

  // ---- the draft

  private async restore(): Promise<void> {
    const draft = await this.wallet.draft(this.data.service.id);
    if (draft === undefined) return;
    this.request = draft.request;
    this.secrets = draft.secrets;
    const asked = new URLSearchParams(location.search);
    const { facility, ...values } = draft.values as Texts;
    // who came for a certain time does not get the one of the draft
    const times = [...this.form.querySelectorAll<HTMLElement>("[data-slots]")].map(
      (each) => each.dataset.slots,
    );
    const others = Object.entries(values).filter(([name]) => !asked.has("facility") || !times.includes(name));
    writeTexts(this.form, Object.fromEntries(others));
    for (const [name, files] of Object.entries(draft.files)) this.files.set(name, files);
    if (facility !== undefined && !asked.has("facility")) {
      writeTexts(this.form, { facility });
      this.form.dispatchEvent(new CustomEvent("restored", { detail: values }));
    }
    this.eraser.hidden = false;
    tell(this.status, say("draftBack"));
  }

  private edited(): void {
    this.notLater(); // what is still being written waits for its writer
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.keep(), DRAFT_MS);
    this.eraser.hidden = false;
    void this.look();
  }

  private async keep(): Promise<void> {
    if (this.timer === 0) return; // nothing has been written since it was kept
    clearTimeout(this.timer);
    this.timer = 0;
    await this.keepDraft();
    this.form.dataset.kept = "";
  }

  private keepDraft(): Promise<void> {
    return this.wallet.keepDraft({
      service: this.data.service.id,
      values: readTexts(this.form),
      files: this.files.all,
      secrets: this.secrets,
      request: this.request,
      savedMs: Date.now(),
    });
  }

  private async erase(): Promise<void> {
    if (!confirm(say("draftErase"))) return;
    clearTimeout(this.timer);
    this.timer = 0;
    await this.wallet.dropDraft(this.data.service.id);
    location.replace(location.pathname);
  }

  // ---- what is wrong

  private checked(looked: Looked): ReturnType<typeof check> {
    const values = readValues(this.form, this.data.service, looked.hashes);
    const { service, facilities } = this.data;
    const today = dayInSeoul(Date.now());
    const { kept, faults } = check(
      service,
      values,
      today,
      this.guOf,
      (id) => facilities[id]?.capacity ?? null,
    );
    return { kept, faults: [...faults, ...looked.faults] };
  }

  /** Takes away what is right by now of what was told to be wrong; nothing new is told, and no focus moves. */
  private async look(): Promise<void> {
    const wrong = [...this.form.querySelectorAll<HTMLElement>(".wrong")];
    if (wrong.length === 0) return;
    const before = new Set(wrong.map(({ dataset }) => dataset.field));
    const { faults } = this.checked(await this.files.look());
    const left = faults.filter(({ field }) => before.has(field));
    if (left.length < before.size) showFaults(this.form, left, this.words);
  }

  // ---- filing

  private async submit(): Promise<void> {
    if (this.busy) return; // the second of two clicks
    this.busy = true;
    this.sender.setAttribute("aria-disabled", "true");
    try {
      await this.keep();
      const looked = await this.files.look();
      const { kept, faults } = this.checked(looked);
      showFaults(this.form, faults, this.words);
      tell(this.status, faults.length > 0 ? "" : say("sending"));
      if (faults.length > 0) part("errors").focus();
      else await this.file(kept, looked);
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
      if (error instanceof RangeError) tell(this.status, say("tooLarge"));
      else this.tellLater();
    } finally {
      this.busy = false;
      this.sender.removeAttribute("aria-disabled");
    }
  }

  private async file(kept: Values, looked: Looked): Promise<void> {
    this.notLater();
    const earlier = await this.earlier();
    if (earlier?.entry != null) return this.filed(earlier, earlier.entry); // meanwhile, by itself
    if (earlier !== undefined && valuesOf(earlier) === this.said(kept)) {
      await this.deliver(earlier);
      return;
    }
    if (earlier !== undefined && !(await this.isOutOfTheWay(earlier))) return;
    const { service, facilities } = this.data;
    const stream = streamOf(service, kept, this.guOf, (id) => facilities[id]?.gu ?? null);
    const keys = await trust();
    if (stream === null || keys.offices(stream).length === 0) {
      tell(this.status, say("noOffice"));
      return;
    }
    const claim = await this.claim(kept);
    if (claim === undefined) return;
    this.secrets ??= newSecrets();
    await this.keepDraft();
    const { waits, secrets } = this;
    const asked = { service, kept, stream, trust: keys, secrets, claim, waits, files: looked.files };
    const fault = await bringFiles(asked, (done) =>
      tell(this.status, say("bringing", { percent: Math.round(100 * done) })),
    );
    if (fault === "lost") {
      this.tellLater();
      return;
    }
    if (fault !== null) {
      tell(this.status, say("refused", { why: reason(this.words, fault.reason, fault.said) }));
      return;
    }
    const request = await makeRequest(this.wallet, { ...asked, shown: this.shown(kept) });
    this.request = request.id;
    this.secrets = null; // each request has its own
    await this.keepDraft();
    tell(this.status, say("sending"));
    await this.deliver(request);
  }

  private async deliver(request: Request): Promise<void> {
    const outcome = await send(this.wallet, request);
    switch (outcome.kind) {
      case "accepted":
        return this.filed(request, outcome.index);
      case "refused":
        this.request = null;
        await this.wallet.forget(request.id);
        await this.keepDraft();
        tell(this.status, say("refused", { why: reason(this.words, outcome.reason, outcome.said) }));
        return;
      case "unknown":
        this.tellLater();
    }
  }

  private tellLater(): void {
    tell(this.status, say("waiting"));
    this.notLater();
    const again = () => this.form.requestSubmit();
    const timer = setTimeout(again, AGAIN_MS); // that a node is back is no event
    addEventListener("online", again);
    this.notLater = () => {
      clearTimeout(timer);
      removeEventListener("online", again);
    };
  }

  private async filed(request: Request, entry: number): Promise<void> {
    clearTimeout(this.timer);
    this.timer = 0;
    tell(this.status, say("accepted", { number: `${request.stream}/${entry}` }));
    await isListed(request.id);
    location.assign(`/${language}/requests/${request.stream}/${entry}`);
  }

  /** The claim to be shown, null if none is needed; undefined, and told, if one is needed and not there. */
  private async claim(kept: Values): Promise<Claim | null | undefined> {
    const { service } = this.data;
    if (service.person === "anybody") return null;
    const purpose = purposeOf(service, kept);
    const claim = await claimFor(this.wallet, purpose);
    if (claim !== null) return claim;
    const query = new URLSearchParams({ purpose, back: location.pathname + location.search });
    const link = el("a", {
      text: say("claimGo"),
      attributes: { href: `/${language}/people?${query}#attest` },
    });
    this.status.replaceChildren(`${say("claimNeeded")} `, link);
    link.focus();
    return undefined;
  }

  private async earlier(): Promise<Request | undefined> {
    const request = this.request === null ? undefined : await this.wallet.request(this.request);
    return request?.standing === "refused" ? undefined : request;
  }

  /** Whether an earlier request, of other values, is known not to be in the record; if it is there, that is shown. */
  private async isOutOfTheWay(earlier: Request): Promise<boolean> {
    const outcome = await send(this.wallet, earlier);
    if (outcome.kind === "refused") await this.wallet.forget(earlier.id);
    if (outcome.kind === "accepted") await this.filed(earlier, outcome.index);
    if (outcome.kind === "unknown") this.tellLater();
    return outcome.kind === "refused";
  }

  /** Whether who finds no place would rather wait than get nothing. */
  private get waits(): boolean {
    return this.form.querySelector<HTMLInputElement>("input[name=wait-list]")?.checked ?? false;
  }

  /** All that somebody asks for, as one text: the same text is the same request. */
  private said(kept: Values): string {
    return JSON.stringify([kept, this.waits]);
  }

  // ---- what is shown of it later

  private shown(kept: Values): Shown {
    const { service } = this.data;
    return {
      title: { ...service.title } as Record<string, string>,
      values: this.said(kept),
      own: service.form.fields
        .filter(({ name }) => Object.hasOwn(kept, name))
        .map(({ name, label }) => ({
          label: { ...label } as Record<string, string>,
          text: this.read(name, kept[name]),
        })),
    };
  }

  /** A value as the person reads it later. */
  private read(name: string, value: unknown): string {
    const field = this.data.service.form.fields.find((each) => each.name === name);
    if ((field?.schema.format ?? field?.schema.items?.format) === "file")
      return this.files
        .of(name)
        .map((file) => file.name)
        .join("\n");
    if (typeof value === "boolean") return say(value ? "yes" : "no");
    const texts = (Array.isArray(value) ? value : [value]).map(String);
    if (field?.schema.format === "slot" || field?.schema.format === "date-time")
      return texts.map((text) => text.replace("T", " ")).join("\n");
    const control = this.form.elements.namedItem(name);
    if (control instanceof HTMLSelectElement) return control.selectedOptions[0]?.text ?? texts.join();
    return texts.map((text) => named(field?.choices[text] ?? { en: text })).join("\n");
  }
}

/** What this page keeps with a request. */
export interface Shown {
  readonly title: Record<string, string>;
  /** All that was asked for, as JSON: the same values are the same request until it is settled. */
  readonly values: string;
  readonly own: { readonly label: Record<string, string>; readonly text: string }[];
  readonly [name: string]: Plain;
}

function valuesOf(request: Request): string {
  return (request.shown as Shown | null)?.values ?? "";
}
