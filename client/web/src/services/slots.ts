/** The free times of a form: fetched from the node for the chosen facility and week, as the node writes them. */

import { part } from "./page";
import { language, say } from "./words";

export function enhanceSlots(form: HTMLFormElement, service: string): void {
  const facility = form.querySelector<HTMLSelectElement>("select[name=facility]");
  const place = form.querySelector<HTMLElement>("#slots");
  if (facility === null || place === null) return;
  let asked = 0;
  const show = async (from: string, chosen: string): Promise<void> => {
    const number = ++asked;
    if (facility.value === "") return;
    place.setAttribute("aria-busy", "true");
    const query = new URLSearchParams({ facility: facility.value, ...(from !== "" && { from }) });
    try {
      const answer = await fetch(`/${language}/services/${service}/slots?${query}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (number !== asked) return; // another one has been chosen meanwhile
      place.replaceChildren(...page.body.childNodes);
      const again = place.querySelector<HTMLInputElement>(`input[value="${CSS.escape(chosen)}"]`);
      if (again !== null) again.checked = true;
    } catch {
      place.textContent = say("waiting"); // no connection: what was shown may be gone
    } finally {
      place.removeAttribute("aria-busy");
    }
  };
  facility.addEventListener("change", () => void show("", ""));
  place.addEventListener("click", (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>("a[data-week]");
    if (link === null) return;
    event.preventDefault();
    void show(link.dataset.week ?? "", "").then(() => place.querySelector<HTMLElement>("input, a")?.focus());
  });
  form.addEventListener("restored", (event) => {
    const { slot = "" } = (event as CustomEvent<{ slot?: string }>).detail;
    void show(slot.slice(0, 10), slot);
  });
  part("f-slot", form);
}
