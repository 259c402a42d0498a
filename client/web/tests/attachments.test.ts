/** Files are what their content is, as the node tells them; attachments are locked, brought with patience, and found. */

import assert from "node:assert/strict";
import { test } from "node:test";
import files from "../../../tests/vectors/file.json";
import {
  attachmentOf,
  type Carry,
  fetchFile,
  filesPaper,
  hashOf,
  lockFile,
  type Uploaded,
  unlockFile,
  upload,
} from "../src/civic/attachments";
import { checkFiles, typeOf } from "../src/civic/file_type";
import type { FormField } from "../src/civic/form";
import { fromHex, toHex } from "../src/net/bytes";
import { Malformed } from "../src/net/msgpack";

interface Typed {
  readonly name: string;
  readonly hex: string;
  readonly type: string | null;
}
const typed = files.slice(0, -1) as unknown as Typed[];
const told = files.at(-1) as unknown as Record<
  "file" | "hash" | "blob_key" | "key" | "called" | "locked" | "put" | "filing_key" | "named",
  string
>;
const file = fromHex(told.file);
const attachment = attachmentOf(fromHex(told.blob_key), told.hash);

test("a file is what its content is", () => {
  assert(typed.length > 90);
  for (const { name, hex, type } of typed) assert.equal(typeOf(fromHex(hex)), type, name);
  const within = Uint8Array.from([0, ...fromHex(typed[0]?.hex ?? "")]).subarray(1);
  assert.equal(typeOf(within), typed[0]?.type);
});

test("the files of a field are told by count, size, type and content", () => {
  const field = {
    name: "photos",
    label: { ko: "사진", en: "Photos" },
    schema: { type: "array", maxItems: 2 },
  };
  const rules = { types: ["png"], most: 2, bytes_max: 1 << 20 };
  const of = (name: string) => fromHex(typed.find((each) => each.name === name)?.hex ?? "");
  const code = (...each: Uint8Array[]) =>
    checkFiles(field as unknown as FormField, rules, each)?.code ?? null;
  const broken = fromHex(typed.find(({ type }) => type === "broken")?.hex ?? "");
  assert.equal(code(of("png"), of("png")), null);
  assert.equal(code(of("png"), of("png"), of("png")), "too-many-files");
  assert.equal(code(new Uint8Array((1 << 20) + 1)), "file-too-large");
  assert.equal(code(of("png"), of("pdf")), "file-type");
  assert.equal(code(broken), "file-broken");
});

test("an attachment's name, key and locked bytes are those of the Python side", async () => {
  assert.equal(hashOf(file), told.hash);
  assert.deepEqual([toHex(attachment.owner.public), toHex(attachment.key)], [told.called, told.key]);
  assert.equal(toHex(lockFile(attachment, file)), told.locked);
  assert.equal(toHex(unlockFile(attachment, fromHex(told.locked))), told.file);
  const other = attachmentOf(fromHex(told.blob_key), "00".repeat(32));
  assert.throws(() => unlockFile({ ...attachment, hash: other.hash }, fromHex(told.locked)), Malformed);
  assert.throws(() => unlockFile(other, fromHex(told.locked)), Malformed);
  const filing = fromHex(told.filing_key);
  const named = (await filesPaper([attachment, other], filing))?.data ?? new Uint8Array();
  assert.equal(toHex(named.subarray(0, 96)), told.named);
  assert.equal(toHex(named.subarray(96, 128)), toHex(other.owner.public));
  assert.equal(await filesPaper([], filing), null);
});

async function brought(
  answers: ({ status: number; body: string } | null)[],
): Promise<[Uploaded, number[], number]> {
  const heard: number[] = [];
  let tries = 0;
  const carry: Carry = (url, body, signature, progress) => {
    assert.equal(signature, told.put);
    assert.equal(url, `https://node.example/civic/attachment/jongno/${told.called}`);
    assert.equal(toHex(body), told.locked);
    progress(5);
    const answer = answers[Math.min(tries++, answers.length - 1)] ?? null;
    return answer ? Promise.resolve(answer) : Promise.reject(new TypeError("lost"));
  };
  const locked = fromHex(told.locked);
  const where = { url: "https://node.example", stream: "jongno", attachment, locked };
  const done = await upload({
    ...where,
    carry,
    progress: (at) => heard.push(at),
    sleep: () => Promise.resolve(),
  });
  return [done, heard, tries];
}

test("an upload that breaks off is begun again until it is kept", async () => {
  const busy = { status: 503, body: JSON.stringify({ reason: "civic-busy", retry: true }) };
  const [kept, heard] = await brought([
    null,
    busy,
    { status: 502, body: "<html>" },
    { status: 200, body: "{}" },
  ]);
  assert.equal(kept.kind, "kept");
  assert.deepEqual(heard, [0, 5, 0, 5, 0, 5, 0, 5]);
  const refusal = { reason: "attachment-size", retry: false, ko: "커요.", en: "Large." };
  const [refused, , once] = await brought([{ status: 413, body: JSON.stringify(refusal) }]);
  assert.deepEqual(refused, {
    kind: "refused",
    reason: "attachment-size",
    said: { ko: "커요.", en: "Large." },
  });
  assert.equal(once, 1);
  const [lost, , tries] = await brought([null]);
  assert.deepEqual([lost.kind, tries], ["lost", 8]);
});

test("a file is fetched whole and unspoilt, or not at all", async () => {
  const fetched = (body: Uint8Array, status = 200) =>
    fetchFile("", "jongno", attachment, 1000, (url) => {
      assert.equal(url, `/civic/attachment/jongno/${told.called}`);
      return Promise.resolve(new Response(Uint8Array.from(body), { status }));
    });
  const locked = fromHex(told.locked);
  assert.equal(toHex((await fetched(locked)) ?? new Uint8Array()), told.file);
  assert.equal(await fetched(locked.map((byte, i) => (i === 20 ? byte ^ 1 : byte))), null);
  assert.equal(await fetched(locked, 404), null);
});
