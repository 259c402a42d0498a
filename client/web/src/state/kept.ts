/**
 * What this device keeps between visits: the key, the largest login, name and look, whom one has blocked, where one
 * stood. All tabs of a browser share it. Where nothing can be kept (some private windows) it lives as long as the page.
 */

import { type Chain, readChain } from "../net/grants";
import { type KeptKey, newKey } from "../net/keys";

const NAME = "p2pworld";
const STORE = "kept";

export interface Kept {
  get<T>(name: string): Promise<T | undefined>;
  put(name: string, value: unknown): void;
  /** The value there, or the one `make` gives, kept from now on; the first of several tabs wins. */
  first<T>(name: string, make: () => Promise<T>): Promise<T>;
}

/** What is kept in IndexedDB, or in memory where there is none. */
export async function openKept(): Promise<Kept> {
  try {
    return new InDatabase(await openDatabase());
  } catch {
    return new InMemory();
  }
}

/** The key of the person on this device; made at the first visit. */
export function keptKey(kept: Kept): Promise<KeptKey> {
  return kept.first("key", newKey);
}

/** Keeps a small value at once, also while the page is being closed; nothing happens where it cannot be kept. */
export function keepNow(name: string, value: unknown): void {
  try {
    localStorage.setItem(`${NAME} ${name}`, JSON.stringify(value));
  } catch {
    // a browser that keeps nothing
  }
}

/** What `keepNow` kept, or null. It may be anything: others can write there. */
export function keptNow(name: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(`${NAME} ${name}`) ?? "null");
  } catch {
    return null;
  }
}

/** The grants that this device shows at a login; nothing where none, or no good ones, were kept. */
export function keptChain(): Chain | null {
  const text = keptNow("grants");
  return typeof text === "string" ? readChain(text) : null;
}

/** Keeps a file of grants, or, empty, keeps none; from the next login on they are shown. */
export function keepChain(text: string): void {
  keepNow("grants", text);
}

class InMemory implements Kept {
  private readonly values = new Map<string, unknown>();

  get<T>(name: string): Promise<T | undefined> {
    return Promise.resolve(this.values.get(name) as T | undefined);
  }

  put(name: string, value: unknown): void {
    this.values.set(name, value);
  }

  async first<T>(name: string, make: () => Promise<T>): Promise<T> {
    if (!this.values.has(name)) this.values.set(name, await make());
    return this.values.get(name) as T;
  }
}

class InDatabase implements Kept {
  constructor(private readonly database: IDBDatabase) {}

  get<T>(name: string): Promise<T | undefined> {
    return answered<T | undefined>(this.store("readonly").get(name));
  }

  put(name: string, value: unknown): void {
    this.store("readwrite").put(value, name);
  }

  async first<T>(name: string, make: () => Promise<T>): Promise<T> {
    const there = await this.get<T>(name);
    if (there !== undefined) return there;
    const made = await make(); // a transaction does not outlive a wait for anything else
    const store = this.store("readwrite");
    const meanwhile = await answered<T | undefined>(store.get(name));
    if (meanwhile !== undefined) return meanwhile;
    await answered(store.put(made, name));
    return made;
  }

  private store(mode: IDBTransactionMode): IDBObjectStore {
    return this.database.transaction(STORE, mode).objectStore(STORE);
  }
}

function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return answered(request);
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
