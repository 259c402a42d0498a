/**
 * What this browser keeps of civic matters: the person's key, drafts of forms with their files, and every request with
 * all that is needed to follow it, act on it and prove it. Nothing of it leaves the device. All tabs share it; where a
 * browser keeps nothing, it lives as long as the page.
 */

import type { Secrets } from "../civic/transaction";
import { type KeptKey, newKey, type Signer, signer } from "../net/keys";

const NAME = "p2pworld civic";
const DRAFTS = "drafts";
const REQUESTS = "requests";
const KEYS = "keys";

/** A form as it stands: the texts of each field, and its files. */
export interface Draft {
  readonly service: string;
  readonly values: Readonly<Record<string, readonly string[]>>;
  readonly files: Readonly<Record<string, readonly File[]>>;
  /** The key of the request that was made of just these values, if one was. */
  readonly request?: string;
}

/** A request that was made here. Without `receipt` it is not known to be filed, and is sent again. */
export interface KeptRequest {
  /** Of the transaction, hexadecimal. */
  readonly key: string;
  readonly service: string;
  readonly title: Readonly<Record<string, string>>;
  readonly stream: string;
  readonly minute: number;
  readonly secrets: Secrets;
  readonly submission: Uint8Array;
  /** The checked values that it was made of, as JSON: the same values are the same request until it is settled. */
  readonly of: string;
  readonly own: readonly { readonly label: Readonly<Record<string, string>>; readonly text: string }[];
  readonly entry?: number;
  readonly receipt?: Uint8Array;
  /** Why it was not taken, where this was not told on the page that made it. */
  readonly refused?: string;
}

export class Store {
  private constructor(private readonly database: IDBDatabase | null) {}

  /** Opens what this browser keeps. */
  static async open(): Promise<Store> {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(DRAFTS, { keyPath: "service" });
        request.result.createObjectStore(REQUESTS, { keyPath: "key" });
        request.result.createObjectStore(KEYS);
      };
      return new Store(await answered(request));
    } catch {
      return new Store(null); // a window that keeps nothing
    }
  }

  /** Whether anything outlives this page. */
  get keeps(): boolean {
    return this.database !== null;
  }

  private readonly inMemory = new Map<string, unknown>();

  /** Who this person is to offices; made at the first request. */
  async identity(): Promise<Signer> {
    const there = await this.get<KeptKey>(KEYS, "identity");
    if (there !== undefined) return signer(there);
    const made = await newKey(); // a transaction does not outlive a wait for anything else
    if (this.database === null) {
      this.inMemory.set(`${KEYS} identity`, made);
      return signer(made);
    }
    const store = this.database.transaction(KEYS, "readwrite").objectStore(KEYS);
    const meanwhile = await answered<KeptKey | undefined>(store.get("identity"));
    if (meanwhile === undefined) await answered(store.put(made, "identity"));
    return signer(meanwhile ?? made);
  }

  draft(service: string): Promise<Draft | undefined> {
    return this.get<Draft>(DRAFTS, service);
  }

  keepDraft(draft: Draft): Promise<void> {
    return this.put(DRAFTS, draft.service, draft);
  }

  dropDraft(service: string): Promise<void> {
    return this.drop(DRAFTS, service);
  }

  /** All requests, the newest first. */
  async requests(): Promise<KeptRequest[]> {
    const all =
      this.database === null
        ? [...this.inMemory].filter(([name]) => name.startsWith(`${REQUESTS} `)).map(([, value]) => value)
        : await answered(this.database.transaction(REQUESTS).objectStore(REQUESTS).getAll());
    return (all as KeptRequest[]).sort((a, b) => b.minute - a.minute);
  }

  request(key: string): Promise<KeptRequest | undefined> {
    return this.get<KeptRequest>(REQUESTS, key);
  }

  keepRequest(request: KeptRequest): Promise<void> {
    return this.put(REQUESTS, request.key, request);
  }

  dropRequest(key: string): Promise<void> {
    return this.drop(REQUESTS, key);
  }

  private get<T>(store: string, name: string): Promise<T | undefined> {
    if (this.database === null)
      return Promise.resolve(this.inMemory.get(`${store} ${name}`) as T | undefined);
    return answered<T | undefined>(this.database.transaction(store).objectStore(store).get(name));
  }

  private async put(store: string, name: string, value: unknown): Promise<void> {
    if (this.database === null) this.inMemory.set(`${store} ${name}`, value);
    else {
      const place = this.database.transaction(store, "readwrite").objectStore(store);
      await answered(place.keyPath === null ? place.put(value, name) : place.put(value));
    }
  }

  private async drop(store: string, name: string): Promise<void> {
    if (this.database === null) this.inMemory.delete(`${store} ${name}`);
    else await answered(this.database.transaction(store, "readwrite").objectStore(store).delete(name));
  }
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
