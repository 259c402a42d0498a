/** The script of the citizen's pages: finds out which page this is, and makes it live. */

import { openWallet } from "../civic/wallet";
import { beginHome } from "./home";
import { part } from "./page";
import { showPeople } from "./people";
import { beginRequest } from "./request";
import { showRequests } from "./requests";
import { sendAgain } from "./sending";
import { beginService } from "./service";
import { language, spoken } from "./words";

/** What this script writes into; where a page is in a language that it does not speak, this is English. */
const WRITTEN = "#sending, #errors, #people, #checked, #actions, #found, .error";

async function begin(): Promise<void> {
  if (spoken !== language)
    for (const place of document.querySelectorAll<HTMLElement>(WRITTEN)) place.lang = spoken;
  const banner = part("offline");
  const connection = (): void => {
    banner.hidden = navigator.onLine;
  };
  addEventListener("online", connection);
  addEventListener("offline", connection);
  connection();
  const wallet = await openWallet();
  switch (document.body.dataset.page) {
    case "home":
      beginHome();
      break;
    case "service":
      await beginService(wallet);
      break;
    case "requests":
      await showRequests(wallet);
      break;
    case "people":
      await showPeople(wallet);
      break;
    case "request":
      await beginRequest(wallet);
      break;
  }
  document.body.dataset.live = "";
  const listed = document.body.dataset.page === "requests";
  await sendAgain(wallet, () => {
    if (listed) void showRequests(wallet);
  });
}

void begin();
