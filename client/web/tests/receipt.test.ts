/** Receipts hold, or do not hold for the same reason as on the Python side; a filing is brought to nodes of all kinds. */

import assert from "node:assert/strict";
import { test } from "node:test";
import receipts from "../../../tests/vectors/receipt.json";
import { file, newestReceipt, type Outcome } from "../src/civic/filer";
import { checkFiled } from "../src/civic/receipt";
import { parseSubmission, submissionBytes } from "../src/civic/transaction";
import { fetchTrust, readTrust } from "../src/civic/trust";
import { fromHex, toHex } from "../src/net/bytes";
import { Malformed } from "../src/net/msgpack";

const [told, ...cases] = receipts as unknown as [
  { submission: string; log_key: string; witness_key: string },
  ...{ receipt: string; reason: string | null; witnesses?: number }[],
];
const submission = parseSubmission(fromHex(told.submission));
const { log_key: key, witness_key } = told;
const setUp = { stream: "jongno", key, witnesses: [witness_key], quorum: 1, offices: [] };
const trust = readTrust({ streams: [setUp], announced: null });
const text = new TextEncoder();
const good = cases[0]?.receipt ?? "";

test("a receipt holds, or does not for the reason that Python gives", async () => {
  assert(cases.length > 90);
  for (const { receipt, reason, witnesses } of cases) {
    try {
      const proven = await checkFiled(text.encode(receipt), submission, trust);
      assert.equal(reason, null, receipt);
      assert.deepEqual([proven.index, proven.epoch, proven.witnesses, proven.quorum], [4, 3, witnesses, 1]);
    } catch (error) {
      assert(error instanceof Malformed, String(error));
      assert.equal(error.reason, reason, receipt);
    }
  }
});

test("a receipt proves one submission only", async () => {
  const other = { ...submission, filing: { ...submission.filing, minute: submission.filing.minute + 1 } };
  try {
    await checkFiled(text.encode(good), other, trust);
  } catch (error) {
    assert(error instanceof Malformed);
    assert.equal(error.reason, "proof-root");
    return;
  }
  assert.fail("it proved another");
});

test("what the city has announced counts from its size on, and before what the node was set up with", () => {
  const history = [
    { from_size: 0, keys: [key], witnesses: [], quorum: 0, offices: ["ab".repeat(32)] },
    { from_size: 100, keys: [key], witnesses: [witness_key], quorum: 1, offices: ["cd".repeat(32)] },
  ];
  const both = readTrust({ streams: [setUp], announced: { streams: { jongno: { history } } } });
  assert.deepEqual([both.policy("jongno", 99).quorum, both.policy("jongno", 100).quorum], [0, 1]);
  assert.deepEqual(both.offices("jongno").map(toHex), ["cd".repeat(32)]);
  assert.throws(() => both.policy("mapo", 1), Malformed);
  assert.deepEqual(both.offices("mapo"), []);
  assert.throws(() => readTrust({ streams: [{ ...setUp, key: witness_key }], announced: null }), Malformed);
});

test("the page's own node is believed, and the holder of a log that it knows nothing of", async () => {
  const log = (stream: string, holder: string) => ({ stream, url: `${holder}/log/${stream}` });
  const named = (name: string) => ({ ...setUp, stream: name, offices: [{ name: "", key: "ab".repeat(32) }] });
  const told: Record<string, object> = {
    "": [
      setUp,
      log("mapo", "https://b"),
      log("jung", "https://c"),
      log("guro", "https://b"),
      { stream: "nowon", url: null },
    ],
    "https://b": [named("mapo"), named("jung"), named("jongno")],
  };
  const asked: string[] = [];
  const trusted = await fetchTrust("", (url) => {
    const base = String(url).replace("/civic/streams", "");
    asked.push(base);
    if (told[base] === undefined) return Promise.reject(new TypeError("lost"));
    return Promise.resolve(new Response(JSON.stringify({ streams: told[base], announced: null })));
  });
  assert.deepEqual(asked, ["", "https://b", "https://c"]);
  assert.deepEqual(trusted.streams, ["jongno", "mapo"]);
  assert.deepEqual([trusted.offices("jongno").length, trusted.offices("mapo").length], [0, 1]);
  assert.throws(() => trusted.policy("jung", 1), Malformed);
});

// ---- nodes

interface Answer {
  readonly status: number;
  readonly body: string;
}
const RECEIPT: Answer = { status: 200, body: good };
const BUSY: Answer = refusal("civic-busy", true);

function refusal(reason: string, retry = false): Answer {
  return { status: 400, body: JSON.stringify({ reason, retry, ko: "안 돼요.", en: "No." }) };
}

/** Nodes by their bases, each with its answers in order, the last for ever; null: no answer at all. */
async function filed(
  nodes: Record<string, (Answer | null)[]>,
  waitMs = 60_000,
): Promise<[Outcome, string[]]> {
  const asked: string[] = [];
  const heard: string[] = [];
  const outcome = await file({
    submission,
    trust,
    urls: Object.keys(nodes),
    waitMs,
    told: (url, what) => heard.push(`${url} ${what}`),
    sleep: () => Promise.resolve(),
    fetch: (url, init) => {
      const base = String(url).replace("/civic/file", "");
      assert.equal(toHex(init?.body as unknown as Uint8Array), toHex(submissionBytes(submission)));
      const answers = nodes[base] as (Answer | null)[];
      const answer = answers[Math.min(asked.filter((each) => each === base).length, answers.length - 1)];
      asked.push(base);
      return answer
        ? Promise.resolve(new Response(answer.body, answer))
        : Promise.reject(new TypeError("lost"));
    },
  });
  return [outcome, [...heard, asked.join(" ")]];
}

test("nodes are asked one after the other until a receipt holds", async () => {
  const forged = { status: 200, body: good.replace("index 4", "index 3") };
  const [outcome, heard] = await filed({ a: [null], b: [forged], c: [BUSY], d: [RECEIPT] });
  assert(outcome.kind === "accepted");
  assert.deepEqual([outcome.index, outcome.url, new TextDecoder().decode(outcome.receipt)], [4, "d", good]);
  assert.deepEqual(heard, ["a lost", "b false-receipt", "c civic-busy", "a b c d"]);
});

test("one node's refusal is not believed where another has a receipt, that of two nodes is", async () => {
  const [taken] = await filed({ a: [refusal("civic-field")], b: [BUSY, RECEIPT] });
  assert.equal(taken.kind, "accepted");
  const [refused, heard] = await filed({
    a: [refusal("civic-field")],
    b: [refusal("civic-field")],
    c: [RECEIPT],
  });
  assert.deepEqual(refused, {
    kind: "refused",
    reason: "civic-field",
    said: { ko: "안 돼요.", en: "No." },
    urls: ["a", "b"],
  });
  assert.equal(heard.at(-1), "a b");
  const [only] = await filed({ a: [refusal("slot-taken")] });
  assert.equal(only.kind, "refused");
});

test("whoever gives up does not know what became of it", async () => {
  const [outcome, heard] = await filed({ a: [null], b: [{ status: 500, body: "<html>" }] }, 10_000);
  assert.equal(outcome.kind, "unknown");
  assert.equal(heard.at(-1), "a b a b a b a b");
  const [late] = await filed({ a: [refusal("civic-field")], b: [null] }, 10_000);
  assert.equal(late.kind, "refused");
});

test("an answer without an end is not read to the end", async () => {
  const [outcome] = await filed({ a: [{ status: 200, body: "x".repeat(200_000) }] }, 0);
  assert.equal(outcome.kind, "unknown");
});

test("the newest receipt is the one that most witnesses signed", async () => {
  const lone = cases.find(({ reason, witnesses }) => reason === null && witnesses === 0)?.receipt ?? "";
  const bodies: Record<string, string> = { a: lone, b: "?", c: good, d: lone };
  const found = await newestReceipt(
    {
      submission,
      trust,
      urls: Object.keys(bodies),
      fetch: (url) => {
        const [base = "", ...path] = String(url).split("/");
        assert.equal(path.join("/"), "civic/receipt/jongno/4");
        return Promise.resolve(new Response(bodies[base]));
      },
    },
    4,
  );
  assert.deepEqual([found?.url, found?.witnesses], ["c", 1]);
});
