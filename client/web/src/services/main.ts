/** The script of the citizen's pages: finds out which page this is, and makes it live. */

import { openWallet } from "../civic/wallet";
import { beginHome } from "./home";
import { part } from "./page";
import { showPeople } from "./people";
import { beginRequest } from "./request";
import { showRequests } from "./requests";
import { sendAgain } from "./sending";
import { beginService } from "./service";

async function begin(): Promise<void> {
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
