/**
 * What somebody filled into a form, checked as the node would: the twin of `Form.check` and `Service.check`
 * (p2pworld/services/form.py, declaration.py), with the same reasons in the same sentences.
 *
 * A service and the sentences come from the node (p2pworld/services/told.py). `check` gives the values as they are kept
 * and all that is wrong with them, in the order of the fields; `split` makes of kept values the public and the sealed
 * fields of a transaction; `streamOf` says to which office it goes. Nothing here knows a page or a clock.
 */

import type { GuOf } from "./gu";
import type { Field } from "./transaction";

/** Words in some of the languages; Korean and English are always there, or nothing is. */
export type Words = Readonly<Partial<Record<string, string>>>;

export interface Schema {
  readonly type: string;
  readonly format?: string;
  readonly items?: { readonly format?: string; readonly [keyword: string]: unknown };
  readonly maxItems?: number;
  readonly [keyword: string]: unknown;
}

export interface FormField {
  readonly name: string;
  readonly schema: Schema;
  readonly label: Words;
  readonly hint: Words;
  readonly error: Words;
  readonly choices: Readonly<Record<string, Words>>;
  readonly lines: boolean;
}

export interface Form {
  readonly fields: readonly FormField[];
  readonly required: readonly string[];
}

/** What `service_told` tells of a service. */
export interface Service {
  readonly id: string;
  readonly title: Words;
  readonly about: Words;
  readonly form: Form;
  readonly public: readonly string[];
  /** `of`: the field with a gu, point or facility that says which office; empty: the city's. */
  readonly office: { readonly of: string; readonly unit: Words };
  readonly person: "anybody" | "verified" | "resident";
  readonly eligible: Words;
  readonly windows: readonly { readonly field: string; readonly days: number }[];
  /** The fields whose sum is how many come to a place. */
  readonly party: readonly string[];
  readonly allocation: string | null;
  readonly attachments: AttachmentRules | null;
  readonly fee: Words;
  readonly privacy: { readonly why: Words; readonly notice: Words };
  readonly emergency: boolean;
}

export interface AttachmentRules {
  readonly types: readonly string[];
  readonly most: number;
  readonly bytes_max: number;
}

/** What a refusal is told as; `again`: the same bytes may be filed again. */
export interface Reason {
  readonly ko: string;
  readonly en: string;
  readonly again: boolean;
}

/** What `words_told` tells. */
export interface Sentences {
  readonly fields: Readonly<Record<string, Words>>;
  readonly reasons: Readonly<Record<string, Reason>>;
  readonly other: Reason;
  readonly states: Readonly<Record<string, Words>>;
  readonly actions: Readonly<Record<string, Words>>;
}

/** What somebody filled in: text, a number, a tick, or a list of texts. */
export type Values = Readonly<Record<string, unknown>>;

/** Why one field is not as the form has it. */
export interface FieldFault {
  readonly field: string;
  readonly code: string;
  readonly label: Words;
  readonly limit: string;
  readonly own?: Words;
}

export interface Checked {
  readonly kept: Record<string, unknown>;
  readonly faults: readonly FieldFault[];
}

const MOMENTS = new Set(["date", "date-time", "slot"]);
const POINT = /^37\.[0-9]{4,7},12[67]\.[0-9]{4,7}$/;
const DAY_MS = 86_400_000;
const NAME_SHOWN = 40;

/** What the citizen reads, in `ko`, `en`, or English where a language has no sentence. */
export function sentenceOf(fault: FieldFault, words: Sentences, language: string): string {
  if (fault.own) return fault.own[language] ?? fault.own.en ?? "";
  const said = words.fields[fault.code];
  const label = fault.label[language] || fault.label.en || fault.field;
  const text = (language === "ko" ? said?.ko : said?.en) ?? "";
  return text.replace(/\{(field|limit)\}/g, (_, name) => (name === "field" ? label : fault.limit));
}

/** The values as they are kept, and all that is wrong with them; an empty text or list is a field not filled in. */
export function checkForm(form: Form, values: Values, guOf: GuOf): Checked {
  const kept: Record<string, unknown> = {};
  const faults = new Map<string, FieldFault>();
  for (const [name, given] of Object.entries(values)) {
    const field = form.fields.find((each) => each.name === name);
    if (field === undefined) {
      const shown = [...name].slice(0, NAME_SHOWN).join("");
      faults.set(name, { field: name, code: "field-unknown", label: { ko: shown, en: shown }, limit: "" });
      continue;
    }
    const value = neatValue(given);
    if (isEmpty(value)) continue;
    kept[name] = value;
    const fault = textFault(field, value) ?? schemaFault(field, value, guOf);
    if (fault) faults.set(name, fault);
  }
  for (const { name, label } of form.fields)
    if (form.required.includes(name) && !Object.hasOwn(kept, name))
      faults.set(name, { field: name, code: "field-required", label, limit: "" });
  const order = new Map(form.fields.map(({ name }, i) => [name, i]));
  const place = ({ field }: FieldFault) => order.get(field) ?? order.size;
  return { kept, faults: [...faults.values()].sort((a, b) => place(a) - place(b)) };
}

/**
 * The same for a service, whose dates may lie back so many days, and to whose places no more may come than they have
 * room for; `today` is the day in Seoul (`2026-11-27`).
 */
export function check(
  service: Service,
  values: Values,
  today: string,
  guOf: GuOf,
  capacityOf: (facility: string) => number | null,
): Checked {
  const { kept, faults } = checkForm(service.form, values, guOf);
  const found = new Set(faults.map(({ field }) => field));
  const late: FieldFault[] = [];
  for (const { field, days } of service.windows) {
    const value = kept[field];
    if (found.has(field) || typeof value !== "string") continue;
    const { label } = service.form.fields.find(({ name }) => name === field) as FormField;
    const back = (Date.parse(today) - Date.parse(value.slice(0, 10))) / DAY_MS;
    if (back < 0) late.push({ field, code: "date-future", label, limit: "" });
    else if (back > days) late.push({ field, code: "date-late", label, limit: String(days) });
  }
  const { party } = service;
  const most = party.some((name) => found.has(name)) ? null : capacityOf(String(kept.facility));
  const coming = party.reduce((sum, name) => sum + Number(kept[name] ?? 0), 0);
  if (party.length === 0 || most === null || coming <= most) return { kept, faults: [...faults, ...late] };
  const { name: field, label } = service.form.fields.find(({ name }) => name === party[0]) as FormField;
  const crowd: FieldFault = { field, code: "too-many-people", label, limit: String(most) };
  return { kept, faults: [...faults, ...late, crowd] };
}

/** The day in Seoul at a time in milliseconds. */
export function dayInSeoul(unixMs: number): string {
  return new Date(unixMs + 9 * 3_600_000).toISOString().slice(0, 10);
}

/** Checked values as the public fields of the leaf, all of them, and as what is sealed. */
export function split(service: Service, kept: Values): { public: Field[]; private: Field[] } {
  const text = (name: string) => (Object.hasOwn(kept, name) ? textOf(kept[name]) : "");
  const hidden = service.form.fields.filter(
    ({ name }) => Object.hasOwn(kept, name) && !service.public.includes(name),
  );
  return {
    public: service.public.map((name) => ({ name, value: text(name) })),
    private: hidden.map(({ name }) => ({ name, value: text(name) })),
  };
}

/** The stream that a filing with these checked values belongs to; null if it names a facility that is not known. */
export function streamOf(
  service: Service,
  kept: Values,
  guOf: GuOf,
  guOfFacility: (facility: string) => string | null,
): string | null {
  const { of } = service.office;
  if (of === "") return "city";
  const value = String(kept[of]);
  const format = service.form.fields.find(({ name }) => name === of)?.schema.format;
  if (format === "gu") return value;
  return format === "point" ? guOf(value) : guOfFacility(value);
}

// ---- text

// as Python has white space: JavaScript's own `trim` takes U+FEFF, and leaves U+001C to U+001F and U+0085
const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const AROUND = new RegExp(`^${SPACE}+|${SPACE}+$`, "g");
const ODD = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]|[\p{Mn}\p{Me}]{5}/u;

/** The text in the one form in which it is kept: composed (NFC), lines ended by one character, no space around. */
export function neat(text: string): string {
  return text.replace(/\r\n?/g, "\n").normalize("NFC").replace(AROUND, "");
}

/** Whether this text, of one line or of several, shows as it was meant. */
export function isReadable(text: string, lines: boolean): boolean {
  if (text.replace(AROUND, "") === "") return false;
  return (lines ? text.split("\n").map((line) => line.replaceAll("\t", " ")) : [text]).every(
    (line) => !ODD.test(line),
  );
}

function neatValue(value: unknown): unknown {
  if (typeof value === "string") return neat(value);
  return Array.isArray(value) ? value.map(neatValue) : value;
}

function isEmpty(value: unknown): boolean {
  return (
    value === "" || value === null || value === undefined || (Array.isArray(value) && value.length === 0)
  );
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function textFault(field: FormField, value: unknown): FieldFault | null {
  const texts = (Array.isArray(value) ? value : [value]).filter((each) => typeof each === "string");
  if (texts.every((text) => isReadable(text, field.lines))) return null;
  return { field: field.name, code: "text-unsupported", label: field.label, limit: "" };
}

// ---- the keywords of the schema, in the order in which it has them: the first that fails is told

function schemaFault(field: FormField, value: unknown, guOf: GuOf): FieldFault | null {
  const failed = failedKeyword(field.schema, value, guOf);
  if (failed === null) return null;
  const [code, limit] = codeOf(failed, field);
  const own = Object.keys(field.error).length > 0 ? { own: field.error } : {};
  return { field: field.name, code, label: field.label, limit, ...own };
}

interface Failed {
  readonly keyword: string;
  readonly bound: unknown;
}

function failedKeyword(schema: Readonly<Record<string, unknown>>, value: unknown, guOf: GuOf): Failed | null {
  for (const [keyword, bound] of Object.entries(schema))
    if (keyword !== "items" && !holds(keyword, bound, value, guOf)) return { keyword, bound };
  const items = schema.items as Readonly<Record<string, unknown>> | undefined;
  if (items === undefined || !Array.isArray(value)) return null;
  // faults of single items are told in the order of their numbers as text: 0, 1, 10, 2
  const found = value
    .map((each, i) => [String(i), failedKeyword(items, each, guOf)] as const)
    .filter(([, failed]) => failed !== null)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return found[0]?.[1] ?? null;
}

function holds(keyword: string, bound: unknown, value: unknown, guOf: GuOf): boolean {
  switch (keyword) {
    case "type":
      return isOfType(bound as string, value);
    case "minLength":
      return typeof value !== "string" || [...value].length >= (bound as number);
    case "maxLength":
      return typeof value !== "string" || [...value].length <= (bound as number);
    case "pattern":
      return typeof value !== "string" || new RegExp(bound as string, "u").test(value);
    case "format":
      return typeof value !== "string" || isOfFormat(bound as string, value, guOf);
    case "oneOf":
      return (bound as readonly { readonly const: string }[]).some((choice) => choice.const === value);
    case "const":
      return value === bound;
    case "minimum":
      return typeof value !== "number" || value >= (bound as number);
    case "maximum":
      return typeof value !== "number" || value <= (bound as number);
    case "minItems":
      return !Array.isArray(value) || value.length >= (bound as number);
    case "maxItems":
      return !Array.isArray(value) || value.length <= (bound as number);
    case "uniqueItems":
      return !Array.isArray(value) || new Set(value).size === value.length;
    default:
      return true;
  }
}

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    default:
      return typeof value === type;
  }
}

function isOfFormat(format: string, value: string, guOf: GuOf): boolean {
  if (format === "point") return !POINT.test(value) || guOf(value) !== null; // the pattern speaks of the rest
  if (!MOMENTS.has(format)) return true;
  const [year, month, day] = /^([0-9]{4})-([0-9]{2})-([0-9]{2})/.exec(value)?.slice(1).map(Number) ?? [];
  if (!year || month === undefined || day === undefined) return false;
  const date = new Date(Date.UTC(2000 + (year % 400), month - 1, day)); // the calendar repeats after 400 years
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

/** The reason for a failed keyword, and the bound to tell of. */
function codeOf({ keyword, bound }: Failed, field: FormField): [string, string] {
  const format = field.schema.format ?? field.schema.items?.format;
  switch (keyword) {
    case "maxLength":
      return ["text-too-long", String(bound)];
    case "minLength":
      return ["text-too-short", String(bound)];
    case "maximum":
      return ["number-too-large", String(bound)];
    case "minimum":
      return ["number-too-small", String(bound)];
    case "maxItems":
      return [format === "file" ? "too-many-files" : "too-many-choices", String(bound)];
    case "const":
      return ["must-agree", ""];
    case "oneOf":
      return ["choice-unknown", ""];
    case "format":
      return [
        format === "point" ? "place-outside" : MOMENTS.has(format ?? "") ? "date-invalid" : "field-invalid",
        "",
      ];
    case "pattern":
      return [MOMENTS.has(format ?? "") ? "date-invalid" : "field-invalid", ""];
    default:
      return ["field-invalid", ""];
  }
}
