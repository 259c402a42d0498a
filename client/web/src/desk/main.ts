/** The official's desk in a browser: which page this is, and what it needs. */

import { caseView } from "./case_view";
import { keysView } from "./keys_view";
import { queueView } from "./queue_view";
import { readPage } from "./words";

const VIEWS: Readonly<Record<string, (page: ReturnType<typeof readPage>) => Promise<void>>> = {
  desk: keysView,
  "desk-queue": queueView,
  "desk-case": caseView,
};

void VIEWS[document.body.dataset.page ?? ""]?.(readPage());
