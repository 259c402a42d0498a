/** Entries are read and believed by their receipts; what is sealed is asked for with a signature. */

import assert from "node:assert/strict";
import { test } from "node:test";
import civic from "../../../tests/vectors/civic.json";
import { bundlePath, entryIn, NotTold, readLeaf, readSealed, readStatement } from "../src/civic/read";
import { readTrust } from "../src/civic/receipt";
import { parseSubmission, sealedBytes } from "../src/civic/transaction";
import { fromHex, join, toHex } from "../src/net/bytes";
import { signerOfSeed, verify } from "../src/net/keys";
import { Malformed } from "../src/net/msgpack";

const MINUTE = 29_400_000;

async function refusedAs(reason: string, body: () => Promise<unknown>): Promise<void> {
  try {
    await body();
  } catch (error) {
    assert(error instanceof Malformed, String(error));
    assert.equal(error.reason, reason);
    return;
  }
  assert.fail(`this is not refused as ${reason}`);
}

const [suggestion, erased] = civic as unknown as [
  { submission: string; hex: string; log_key: string; witness_key: string; receipt: string },
  { hex: string; receipt: string },
];
const LOG = readTrust({
  streams: [
    {
      stream: "jongno",
      key: suggestion.log_key,
      witnesses: [suggestion.witness_key],
      quorum: 1,
      offices: [],
    },
  ],
  announced: null,
});

function node(answers: Record<string, Uint8Array | string | Response>): typeof fetch {
  return (url) => {
    const answer = answers[String(url)] ?? new Response("", { status: 404 });
    return Promise.resolve(answer instanceof Response ? answer : new Response(answer as string));
  };
}

test("an entry is read from its bundle, and believed by its receipt", async () => {
  const entries = [suggestion.hex, erased.hex].map(fromHex);
  const bundle = join(
    ...entries.flatMap((entry) => [Uint8Array.of(entry.length >> 8, entry.length & 255), entry]),
  );
  const answers = { "/civic/receipt/jongno/1": erased.receipt, "/log/jongno/tile/entries/000.p/2": bundle };
  assert.equal((await readLeaf("", "jongno", 1, LOG, node(answers))).filing.type, "erased");
  const swapped = { ...answers, "/civic/receipt/jongno/0": erased.receipt };
  await refusedAs("proof-index", () => readLeaf("", "jongno", 0, LOG, node(swapped)));
  const bent = bundle.map((byte, i) => (i === bundle.length - 3 ? byte ^ 1 : byte));
  await refusedAs("proof-root", () =>
    readLeaf("", "jongno", 1, LOG, node({ ...answers, "/log/jongno/tile/entries/000.p/2": bent })),
  );
  await refusedAs("tile-size", async () => entryIn(bundle, 2));
  await refusedAs("tile-size", async () => entryIn(bundle.slice(0, -1), 1));
  assert.equal(bundlePath(255, 256), "tile/entries/000");
  assert.equal(bundlePath(1234067 * 256 + 3, 1234067 * 256 + 5), "tile/entries/x001/x234/067.p/5");
});

test("what is sealed is asked for with a signature, and a refusal is told", async () => {
  const reader = signerOfSeed(new Uint8Array(32).fill(4));
  const { sealed } = parseSubmission(fromHex(suggestion.submission));
  assert(sealed);
  let asked: Record<string, string | number> = {};
  const answer =
    (data: Uint8Array | string, status = 200): typeof fetch =>
    (url, init) => {
      assert.equal(url, "https://a/civic/sealed/jongno/0");
      asked = JSON.parse(String(init?.body));
      return Promise.resolve(new Response(data as string, { status }));
    };
  const kept = sealedBytes(sealed);
  const read = await readSealed("https://a", "jongno", 0, reader, MINUTE, "grant", answer(kept));
  assert.equal(toHex(read.filed), toHex(sealed.filed));
  const statement = readStatement("jongno", 0, reader.public, MINUTE);
  assert(await verify(reader.public, statement, fromHex(asked.sig as string)));
  assert.deepEqual([asked.key, asked.minute, asked.grants], [toHex(reader.public), MINUTE, "grant"]);
  const refused = async (told: object | string, status: number): Promise<NotTold> => {
    try {
      const body = typeof told === "string" ? told : JSON.stringify(told);
      await readSealed("https://a", "jongno", 0, reader, MINUTE, undefined, answer(body, status));
    } catch (error) {
      assert(error instanceof NotTold);
      return error;
    }
    return assert.fail("a refusal was read as something sealed") as never;
  };
  const forbidden = await refused({ reason: "forbidden", ko: "권한이 없어요.", en: "Not allowed." }, 403);
  assert.deepEqual(
    [forbidden.reason, forbidden.said.ko, forbidden.again, asked.grants],
    ["forbidden", "권한이 없어요.", false, undefined],
  );
  const gone = await refused({ error: "not_found", sentence: "Nothing is sealed with this entry." }, 404);
  assert.deepEqual([gone.reason, gone.again], ["not_found", false]);
  const down = await refused("<html>", 502);
  assert.deepEqual([down.reason, down.again], ["civic-down", true]);
});
