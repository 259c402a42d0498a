/**
 * Attachments at the desk: fetched and unlocked here, and told by their content before anything of them is shown.
 *
 * A picture of an allowed type is shown; another allowed type is offered to be saved, under a name that is made here.
 * Whatever is not what the service allows is neither.
 */

import { attachmentOf, fetchFile } from "../civic/attachments";
import { typeOf } from "../civic/file_type";
import { toBase64 } from "../civic/note";
import { button, el } from "../ui/dom";
import { type PageData, say } from "./words";

const BYTES_MAX = 20 << 20; // more than any service allows: as much as a node takes
const PICTURES: ReadonlySet<string> = new Set(["jpeg", "png", "webp"]);
const HASH = /^[0-9a-f]{64}$/;

/** Where a file of this hash, attached to what `blobKey` opens, is looked at when somebody asks for it. */
export function fileView(page: PageData, stream: string, blobKey: Uint8Array, hash: string): HTMLElement {
  const said = el("span", { class: "hint", attributes: { role: "status" } });
  const box = el("p");
  if (!HASH.test(hash)) {
    box.append(el("span", { text: say(page, "file_wrong") }));
    return box;
  }
  const open = button(say(page, "file_open", { name: hash.slice(0, 8) }), () => {
    open.disabled = true;
    said.textContent = say(page, "opening");
    void show(page, stream, blobKey, hash, box).then((words) => {
      said.textContent = words;
      open.disabled = false;
    });
  });
  box.append(open, " ", said);
  return box;
}

/** Shows the file, or offers it to be saved; what there is to say of it. */
async function show(
  page: PageData,
  stream: string,
  blobKey: Uint8Array,
  hash: string,
  box: HTMLElement,
): Promise<string> {
  let data: Uint8Array | null;
  try {
    data = await fetchFile("", stream, attachmentOf(blobKey, hash), BYTES_MAX);
  } catch {
    return say(page, "shut_lost"); // no connection
  }
  if (data === null) return say(page, "file_gone");
  const type = typeOf(data);
  if (type === null || type === "broken" || !(page.types ?? []).includes(type))
    return say(page, "file_wrong");
  for (const old of box.querySelectorAll("img, a")) old.remove();
  const name = `${hash.slice(0, 8)}.${type}`;
  if (PICTURES.has(type)) {
    const picture = el("img", { class: "attached", attributes: { alt: name } });
    picture.src = `data:image/${type};base64,${toBase64(data)}`;
    box.append(picture);
  } else {
    const link = el("a", { class: "button", text: say(page, "download", { name }) });
    link.href = URL.createObjectURL(new Blob([data as Uint8Array<ArrayBuffer>]));
    link.download = name;
    box.append(link);
  }
  return say(page, "file_opened", { type: type.toUpperCase() });
}
