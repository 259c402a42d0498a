/**
 * Tables that this browser keeps: in IndexedDB, or, where nothing can be kept (some private windows), for as long as the
 * page lives. All tabs share them. What `put` and `change` have answered lies on the disk, as far as the browser says.
 */

const NAME = "p2pworld wallet";
const VERSION = 1;
export const TABLES = ["person", "requests", "drafts", "claims"] as const;
export type Table = (typeof TABLES)[number];

export interface Store {
  /** Whether it outlives the page. */
  readonly lasting: boolean;
  get<T>(table: Table, key: string): Promise<T | undefined>;
  all<T>(table: Table): Promise<T[]>;
  put(table: Table, key: string, value: unknown): Promise<void>;
  /** Puts what `made` makes of what is there, at one stroke, whatever other tabs do; answers with that. */
  change<T>(table: Table, key: string, made: (there: T | undefined) => T): Promise<T>;
  delete(table: Table, key: string): Promise<void>;
}

export async function openStore(): Promise<Store> {
  try {
    return new InDatabase(await openDatabase());
  } catch {
    return memoryStore();
  }
}

export function memoryStore(): Store {
  const tables = new Map(TABLES.map((table) => [table, new Map<string, unknown>()]));
  const of = (table: Table) => tables.get(table) as Map<string, unknown>;
  return {
    lasting: false,
    get: <T>(table: Table, key: string) => Promise.resolve(of(table).get(key) as T | undefined),
    all: <T>(table: Table) => Promise.resolve([...of(table).values()] as T[]),
    put: async (table, key, value) => {
      of(table).set(key, value);
    },
    change: async <T>(table: Table, key: string, made: (there: T | undefined) => T) => {
      const value = made(of(table).get(key) as T | undefined);
      of(table).set(key, value);
      return value;
    },
    delete: async (table, key) => {
      of(table).delete(key);
    },
  };
}

class InDatabase implements Store {
  readonly lasting = true;

  constructor(private readonly database: IDBDatabase) {}

  get<T>(table: Table, key: string): Promise<T | undefined> {
    return answered<T | undefined>(this.begin(table, "readonly").objectStore(table).get(key));
  }

  all<T>(table: Table): Promise<T[]> {
    return answered<T[]>(this.begin(table, "readonly").objectStore(table).getAll());
  }

  put(table: Table, key: string, value: unknown): Promise<void> {
    const begun = this.begin(table, "readwrite");
    begun.objectStore(table).put(value, key);
    return done(begun);
  }

  async change<T>(table: Table, key: string, made: (there: T | undefined) => T): Promise<T> {
    const begun = this.begin(table, "readwrite");
    const store = begun.objectStore(table);
    const value = made(await answered<T | undefined>(store.get(key)));
    store.put(value, key);
    await done(begun);
    return value;
  }

  delete(table: Table, key: string): Promise<void> {
    const begun = this.begin(table, "readwrite");
    begun.objectStore(table).delete(key);
    return done(begun);
  }

  private begin(table: Table, mode: IDBTransactionMode): IDBTransaction {
    return this.database.transaction(table, mode, { durability: "strict" });
  }
}

function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    for (const table of TABLES) request.result.createObjectStore(table);
  };
  return answered(request);
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function done(begun: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    begun.oncomplete = () => resolve();
    begun.onerror = begun.onabort = () => reject(begun.error);
  });
}
