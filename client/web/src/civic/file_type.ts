/**
 * What a file is by its content, whatever it is called: the twin of p2pworld/services/attachments.py.
 *
 * `typeOf` knows the types that a service may allow, and null for all else; what begins as one of them and ends too
 * early, or would unfold to far more than a file of its size should, is "broken". Nothing is unfolded here.
 */

import type { AttachmentRules, FieldFault, FormField } from "./form";
import { isReadable } from "./form";

export type FileType = "jpeg" | "png" | "webp" | "pdf" | "hwpx" | "docx" | "xlsx" | "txt";

const PIXELS_MAX = 100_000_000;
const UNFOLDED_BYTES_MAX = 200 << 20;
const UNFOLDED_TIMES_MAX = 200;
const MEMBERS_MAX = 2_000;
const END_BYTES = 22; // end of central directory (APPNOTE.TXT 4.3.16)
const MEMBER_BYTES = 46; // one file's header in it (4.3.12)
const COMMENT_BYTES_MAX = 65_535;
const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const TRAILER_BYTES = 1_024;
const LATIN = new TextDecoder("latin1");
const NAMES = new TextDecoder("utf-8", { ignoreBOM: true });
const TEXT = new TextDecoder("utf-8", { fatal: true });

/** The type of a file, null for whatever else it is, or "broken". */
export function typeOf(data: Uint8Array): FileType | "broken" | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (begins(data, [0xff, 0xd8, 0xff])) return isPicture(jpegPixels(data, view)) ? "jpeg" : "broken";
  if (begins(data, PNG)) {
    const whole = data.length >= 33 && latin(data, 12, 16) === "IHDR";
    return whole && isPicture(view.getUint32(16) * view.getUint32(20)) ? "png" : "broken";
  }
  if (latin(data, 0, 4) === "RIFF" && latin(data, 8, 12) === "WEBP")
    return view.getUint32(4, true) + 8 <= data.length + 1 ? "webp" : "broken";
  if (latin(data, 0, 5) === "%PDF-")
    return LATIN.decode(data.subarray(-TRAILER_BYTES)).includes("%%EOF") ? "pdf" : "broken";
  if (begins(data, [0x50, 0x4b, 3, 4])) return documentType(data, view);
  return isText(data) ? "txt" : null;
}

/** What is wrong with the files of a field, or null. */
export function checkFiles(
  field: FormField,
  rules: AttachmentRules,
  files: readonly Uint8Array[],
): FieldFault | null {
  const fault = (code: string, limit = "") => ({ field: field.name, code, label: field.label, limit });
  const most = field.schema.maxItems ?? 1;
  if (files.length > most) return fault("too-many-files", String(most));
  for (const data of files) {
    if (data.length > rules.bytes_max) return fault("file-too-large", String(rules.bytes_max >> 20));
    const type = typeOf(data);
    if (type === "broken") return fault("file-broken");
    if (type === null || !rules.types.includes(type)) return fault("file-type", rules.types.join(", "));
  }
  return null;
}

function begins(data: Uint8Array, mark: readonly number[]): boolean {
  return mark.every((byte, i) => data[i] === byte);
}

function latin(data: Uint8Array, from: number, to: number): string {
  return LATIN.decode(data.subarray(from, to));
}

function isPicture(pixels: number): boolean {
  return pixels > 0 && pixels <= PIXELS_MAX;
}

/** Width times height from the first segment that begins a frame (ITU-T T.81, B.2.2); 0 if there is none. */
function jpegPixels(data: Uint8Array, view: DataView): number {
  let at = 2;
  while (at + 9 <= data.length && data[at] === 0xff) {
    const marker = data[at + 1] as number;
    if (marker === 0xff) {
      at += 1; // a fill byte
      continue;
    }
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker))
      return view.getUint16(at + 5) * view.getUint16(at + 7);
    at += 2 + view.getUint16(at + 2);
  }
  return 0;
}

/** Which document a ZIP archive is, by the names of its members. */
function documentType(data: Uint8Array, view: DataView): FileType | "broken" | null {
  const names = memberNames(data, view);
  if (names === null) return "broken";
  const has = (start: string) => names.some((name) => name.startsWith(start));
  if (names.includes("[Content_Types].xml") && has("word/")) return "docx";
  if (names.includes("[Content_Types].xml") && has("xl/")) return "xlsx";
  // its first member is stored as it is, and says what this is (OWPML, KS X 6101)
  return latin(data, 30, 57) === "mimetypeapplication/hwp+zip" ? "hwpx" : null;
}

/** The names in the archive's directory; null if that is not whole, or promises too much. */
function memberNames(data: Uint8Array, view: DataView): string[] | null {
  const end = lastEnd(data);
  if (end < 0) return null;
  const [disk, count] = [view.getUint16(end + 4, true), view.getUint16(end + 10, true)];
  const [size, start] = [view.getUint32(end + 12, true), view.getUint32(end + 16, true)];
  if (disk !== 0 || count > MEMBERS_MAX || start + size > end) return null;
  const names: string[] = [];
  let [at, unfolded] = [start, 0];
  for (let i = 0; i < count; i++) {
    if (at + MEMBER_BYTES > end || !begins(data.subarray(at), [0x50, 0x4b, 1, 2])) return null;
    const [packed, plain, where] = [20, 24, 42].map((offset) => view.getUint32(at + offset, true));
    const lengths = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const [packedBytes, plainBytes, from] = [packed, plain, where] as [number, number, number];
    if (from + packedBytes > data.length || [packedBytes, plainBytes, from].includes(0xffffffff)) return null;
    unfolded += plainBytes;
    at += MEMBER_BYTES;
    names.push(NAMES.decode(data.subarray(at, at + (lengths[0] as number))));
    at += lengths.reduce((sum, length) => sum + length, 0);
  }
  return unfolded > Math.min(UNFOLDED_BYTES_MAX, UNFOLDED_TIMES_MAX * data.length) ? null : names;
}

/** Where the last mark of a directory's end is, or -1. */
function lastEnd(data: Uint8Array): number {
  const first = Math.max(0, data.length - END_BYTES - COMMENT_BYTES_MAX);
  for (let at = data.length - 4; at >= first; at--)
    if (begins(data.subarray(at, at + 4), [0x50, 0x4b, 5, 6])) return at + END_BYTES > data.length ? -1 : at;
  return -1;
}

function isText(data: Uint8Array): boolean {
  try {
    return isReadable(TEXT.decode(data).replaceAll("\r\n", "\n"), true);
  } catch {
    return false; // not UTF-8
  }
}
