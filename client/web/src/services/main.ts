/** The script of the citizen's pages: finds out which page this is, and makes it live. */

import { beginHome } from "./home";
import { part } from "./page";
import { beginRequest } from "./request";
import { showRequests } from "./requests";
import { sendAgain } from "./sending";
import { beginService } from "./service";
import { Store } from "./store";

async function begin(): Promise<void> {
  const banner = part("offline");
  const connection = (): void => {
    banner.hidden = navigator.onLine;
  };
  addEventListener("online", connection);
  addEventListener("offline", connection);
  connection();
  const store = await Store.open();
  switch (document.body.dataset.page) {
    case "home":
      beginHome();
      break;
    case "service":
      await beginService(store);
      break;
    case "requests":
      await showRequests(store);
      break;
    case "request":
      await beginRequest(store);
      break;
  }
  const listed = document.body.dataset.page === "requests";
  await sendAgain(store, () => {
    if (listed) void showRequests(store);
  });
}

void begin();
