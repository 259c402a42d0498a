/** The free times of a form: fetched from the node for the chosen facility and week, as the node writes them. */

import { language, say } from "./words";

/** Each field of a form that wants a slot shows those of the facility that is chosen. */
export function enhanceSlots(form: HTMLFormElement, service: string): void {
  const facility = form.querySelector<HTMLSelectElement>("select[name=facility]");
  if (facility === null) return;
  for (const place of form.querySelectorAll<HTMLElement>("[data-slots]"))
    enhance(form, facility, place, service);
}

function enhance(
  form: HTMLFormElement,
  facility: HTMLSelectElement,
  place: HTMLElement,
  service: string,
): void {
  const name = place.dataset.slots ?? "slot";
  let asked = 0;
  const show = async (from: string, chosen: string): Promise<void> => {
    const number = ++asked;
    if (facility.value === "") return;
    place.setAttribute("aria-busy", "true");
    const query = new URLSearchParams({ facility: facility.value, name, ...(from !== "" && { from }) });
    try {
      const answer = await fetch(`/${language}/services/${service}/slots?${query}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (number !== asked) return; // another one has been chosen meanwhile
      place.replaceChildren(...page.body.childNodes);
      const again = place.querySelector<HTMLInputElement>(`input[value="${CSS.escape(chosen)}"]`);
      if (again !== null) again.checked = true;
    } catch {
      place.textContent = say("slotsLost"); // no connection: what was shown may be gone
    } finally {
      place.removeAttribute("aria-busy");
    }
  };
  facility.addEventListener("change", () => void show("", ""));
  place.addEventListener("change", () => waits(form, place));
  waits(form, place);
  place.addEventListener("click", (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>("a[data-week]");
    if (link === null) return;
    event.preventDefault();
    void show(link.dataset.week ?? "", "").then(() => place.querySelector<HTMLElement>("input, a")?.focus());
  });
  form.addEventListener("restored", (event) => {
    const [slot = ""] =
      (event as CustomEvent<Readonly<Record<string, readonly string[]>>>).detail[name] ?? [];
    void show(slot.slice(0, 10), slot);
  });
}

/** Who has chosen a full one, which is shown as one to wait for, means just that. */
function waits(form: HTMLFormElement, place: HTMLElement): void {
  const list = form.querySelector<HTMLInputElement>("input[name=wait-list]");
  if (list !== null && place.querySelector(".slot_waiting input:checked") !== null) list.checked = true;
}
