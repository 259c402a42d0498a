/** What the node wrote into a page for its script: elements by id, and one block of JSON. */

/** The element that a template has under this id. */
export function part<T extends HTMLElement = HTMLElement>(id: string, within: ParentNode = document): T {
  const found = within.querySelector<T>(`#${CSS.escape(id)}`);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/** The JSON that a template put into the page. */
export function told<T>(page: Document = document): T {
  return JSON.parse(part("data", page).textContent ?? "null") as T;
}

/** Makes a status line say something; a screen reader reads it. */
export function tell(line: HTMLElement, text: string): void {
  line.textContent = text;
}
