/** What a panel may use of the sheet it is written on. */

import type { Page, PanelName } from "../page";

export interface Sheet {
  readonly page: Page;
  /** Where the panel writes; empty when it begins. */
  readonly body: HTMLElement;
  /** The panel that is open now. */
  readonly shown: PanelName | null;
  open(panel: PanelName): void;
  close(): void;
}
