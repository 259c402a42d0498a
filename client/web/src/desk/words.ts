/** What the node put beside a page of the desk: its words in the page's language, and what the page is about. */

export interface Act {
  readonly entry: number;
  readonly action: string;
  readonly who: string;
  readonly letter: boolean;
  readonly erased: boolean;
}

export interface Case {
  readonly stream: string;
  readonly entry: number;
  readonly seen: number;
  readonly office: string;
  readonly assigned: string | null;
  readonly erased: boolean;
  readonly acts: readonly Act[];
  readonly may: { readonly official: readonly string[]; readonly decider: readonly string[] };
}

/** A case as a queue's page tells of it; `away_until` is a minute of Unix time. */
export interface Listed {
  readonly stream: string;
  readonly entry: number;
  readonly seen: number;
  readonly assigned: string | null;
  readonly ended: boolean;
  readonly away_until: number | null;
}

export interface Template {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly actions: readonly string[];
}

/** What a letter in one language is written with. */
export interface LetterWords {
  readonly facts: Readonly<Record<string, string>>;
  readonly anybody: string;
  readonly templates: readonly Template[];
}

export interface Label {
  readonly label: string;
  readonly choices: Readonly<Record<string, string>>;
  readonly file: boolean;
}

export interface PageData {
  readonly language: string;
  readonly words: Readonly<Record<string, string>>;
  readonly offices?: Readonly<Record<string, string>>;
  readonly stream?: string;
  readonly cases?: readonly Listed[];
  readonly case?: Case;
  readonly letters?: Readonly<Record<"ko" | "en", LetterWords>>;
  readonly actions?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, Label>>;
  readonly term?: number;
  readonly supplement_days?: number;
  readonly types?: readonly string[];
}

export function readPage(): PageData {
  return JSON.parse(document.getElementById("data")?.textContent ?? "{}") as PageData;
}

/** A sentence of the page, with `{name}` replaced. */
export function say(
  page: PageData,
  key: string,
  values: Readonly<Record<string, string | number>> = {},
): string {
  return fill(page.words[key] ?? key, values);
}

/** The text with these facts in it; one that is not known stays as it stands, for the official to see. */
export function fill(text: string, facts: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{([^{}]*)\}/g, (whole, name: string) =>
    Object.hasOwn(facts, name) ? String(facts[name]) : whole,
  );
}
