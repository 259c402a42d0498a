/** What the page's own node says of the city: whose signatures count, which nodes there are, in which gu a point lies. */

import { type GuOf, readGu } from "../civic/gu";
import { fetchTrust, type Trust } from "../civic/trust";

const NODES_MOST = 6;

async function json(url: string): Promise<unknown> {
  const answer = await fetch(url, { cache: "no-cache" });
  if (!answer.ok) throw new TypeError(`${url}: ${answer.status}`);
  return answer.json();
}

/** The keys by which receipts are checked, and those that offices read with. */
export function trust(): Promise<Trust> {
  return fetchTrust();
}

/** Where requests are brought to: this node, then some others. */
export async function nodes(): Promise<readonly string[]> {
  const { nodes: all } = (await json("/api/v1/nodes")) as { nodes: { web_url: string; self: boolean }[] };
  // a browser does not let a page that came by https ask by http
  const others = all.filter(({ self, web_url: url }) => !self && url.startsWith(location.protocol));
  return ["", ...others.slice(0, NODES_MOST - 1).map(({ web_url: url }) => url.replace(/\/+$/, ""))];
}

/** In which gu a point lies. */
export async function guOf(): Promise<GuOf> {
  return readGu(await json("/api/v1/city"));
}

/** Outlines and well-known places, as latitude and longitude. */
export interface Seoul {
  readonly gu: Readonly<
    Record<
      string,
      {
        readonly name: Readonly<Record<string, string>>;
        readonly middle: readonly [number, number];
        readonly outline: readonly (readonly [number, number])[];
      }
    >
  >;
  readonly places: readonly {
    readonly name: Readonly<Record<string, string>>;
    readonly at: readonly [number, number];
  }[];
}

export async function seoul(): Promise<Seoul> {
  return (await json("/services/seoul.json")) as Seoul;
}
