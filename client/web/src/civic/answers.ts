/** What servers answer: read no further than it may be long, and refusals with their sentences. */

import { join } from "../net/bytes";
import { Malformed } from "../net/msgpack";

/** Whoever was asked refuses, or cannot: its reason, its sentences, and whether the same may be asked again. */
export class NotTold extends Error {
  constructor(
    readonly reason: string,
    readonly said: { readonly ko: string; readonly en: string },
    readonly again = false,
  ) {
    super(reason);
  }
}

/** The body of an answer, or null if it is longer than that. */
export async function bounded(answer: Response, most: number): Promise<Uint8Array | null> {
  const reader = answer.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return join(...parts);
    size += value.length;
    if (size > most) {
      await reader.cancel();
      return null;
    }
    parts.push(value);
  }
}

/** The fields of a JSON object; none if it is no such thing. */
export function fieldsOf(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    return value !== null && typeof value === "object" ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** The body of an answer that is none of refusal; throws `NotTold`, or `Malformed("frame-size")` if it is too long. */
export async function told(answer: Response, most: number): Promise<Uint8Array> {
  const data = await bounded(answer, most);
  if (data === null) throw new Malformed("frame-size");
  if (answer.ok) return data;
  const { reason, retry, error, sentence, ...words } = fieldsOf(data);
  const { ko, en } = (sentence ?? words) as Record<string, unknown>;
  const text = (said: unknown) => (typeof said === "string" ? said : "");
  const why = text(reason) || text(error) || "civic-down"; // `not_found` is an error: nothing was declined
  throw new NotTold(why, { ko: text(ko), en: text(en) }, retry === true || answer.status >= 500);
}
