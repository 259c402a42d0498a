/**
 * Grants as text: a file of them is a chain, a line each, and shows at a login what its last subject has been granted.
 * What a chain is worth is for the nodes to say; here it is only made fit to be sent.
 */

import { canonical, type Fields, Malformed, unpack } from "./msgpack";

const CHAIN_MAX = 4;
const BYTES_MAX = 2048; // of all of them: a node takes no more in a HELLO
const LINE_MAX = 8192;

/** A chain as it is sent, and what its last grant says. */
export interface Chain {
  readonly grants: readonly Fields[];
  readonly subject: Uint8Array;
  readonly role: string;
  readonly untilMs: number;
}

/** The chain of a file, or null if it is none; empty lines and those that begin with # do not count. */
export function readChain(text: string): Chain | null {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (lines.length === 0 || lines.length > CHAIN_MAX) return null;
  const grants: Fields[] = [];
  let size = 0;
  for (const line of lines) {
    const data = fromBase64Url(line);
    if (data === null) return null;
    try {
      const grant = unpack(data);
      if (grant === null || typeof grant !== "object" || Array.isArray(grant) || grant instanceof Uint8Array)
        return null;
      size += canonical(grant).length;
      grants.push(grant as Fields);
    } catch (error) {
      if (error instanceof Malformed) return null;
      throw error;
    }
  }
  const { subject, role, not_after_ms: untilMs } = grants.at(-1) as Fields;
  if (!(subject instanceof Uint8Array) || subject.length !== 32) return null;
  if (typeof role !== "string" || typeof untilMs !== "number" || size > BYTES_MAX) return null;
  return { grants, subject, role, untilMs };
}

function fromBase64Url(line: string): Uint8Array | null {
  if (line.length > LINE_MAX || !/^[A-Za-z0-9_-]+$/.test(line) || line.length % 4 === 1) return null;
  const text = atob(line.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
