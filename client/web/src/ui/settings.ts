/** What a person has chosen for this device, kept in its storage; and whom they remember or do not hear just now. */

export interface Settings {
  reduceMotion: boolean;
  quiet: boolean;
  fewer: boolean;
  regions: boolean;
  large: boolean;
  hour: "clock" | "day" | "night";
  /** Has been welcomed. */
  known: boolean;
}

const STORED = "p2pworld.settings";
const PEOPLE = "p2pworld.people";
const REMEMBERED_MAX = 200;

const wantsStill = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function readSettings(): Settings {
  const plain: Settings = {
    reduceMotion: wantsStill(),
    quiet: false,
    fewer: false,
    regions: false,
    large: false,
    hour: "clock",
    known: false,
  };
  const kept = parsed(STORED);
  if (typeof kept !== "object" || kept === null) return plain;
  const given = kept as Partial<Record<keyof Settings, unknown>>;
  for (const key of ["reduceMotion", "quiet", "fewer", "regions", "large", "known"] as const) {
    if (typeof given[key] === "boolean") plain[key] = given[key];
  }
  if (given.hour === "day" || given.hour === "night") plain.hour = given.hour;
  return plain;
}

export function keepSettings(settings: Settings): void {
  localStorage.setItem(STORED, JSON.stringify(settings));
}

/** People by avatar id, with the name they had. */
export class Remembered {
  readonly friends = new Map<number, string>();
  /** Only for this visit: their words are not shown. */
  readonly muted = new Set<number>();

  constructor() {
    const kept = parsed(PEOPLE);
    if (typeof kept !== "object" || kept === null) return;
    load(this.friends, (kept as { friends?: unknown }).friends);
  }

  keep(): void {
    const { friends } = this;
    for (const id of [...friends.keys()].slice(0, Math.max(0, friends.size - REMEMBERED_MAX)))
      friends.delete(id);
    localStorage.setItem(PEOPLE, JSON.stringify({ friends: [...friends] }));
  }
}

function load(into: Map<number, string>, from: unknown): void {
  if (!Array.isArray(from)) return;
  for (const pair of from.slice(0, REMEMBERED_MAX)) {
    if (Array.isArray(pair) && Number.isSafeInteger(pair[0]))
      into.set(pair[0] as number, String(pair[1]).slice(0, 64));
  }
}

function parsed(key: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null");
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
