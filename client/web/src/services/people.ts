/** The page of keys: who one is on this device, nine words to write down, a file for another device, and attestation. */

import { entropyOf, parseDevice, parseLost, RECOVERY_WORDS } from "../civic/identity";
import type { Me, Wallet } from "../civic/wallet";
import { toHex } from "../net/bytes";
import { Malformed } from "../net/msgpack";
import { button, el } from "../ui/dom";
import { attestPanel } from "./attesting";
import { part, tell } from "./page";
import { form, labelled, panel, Told } from "./panel";
import { deviceName, myself, thisMinute } from "./sending";
import { say } from "./words";

const PASSPHRASE_LEAST = 8;
const SHORT = 16; // digits of a key that people compare

export async function showPeople(wallet: Wallet): Promise<void> {
  const me = await myself(wallet);
  const panels = [
    await attestPanel(wallet),
    wordsPanel(wallet, me),
    exportPanel(wallet),
    importPanel(wallet),
    recoverPanel(wallet),
    await devicesPanel(wallet, me),
  ];
  const warning = wallet.lasting ? [] : [el("p", { class: "notice", text: say("keepsNothing") })];
  part("people").replaceChildren(el("div", { class: "panels" }, ...warning, ...panels));
  if (location.hash === "#attest") part("attest").scrollIntoView();
}

// ---- what one keeps

function wordsPanel(wallet: Wallet, me: Me): HTMLElement {
  const place = el("div");
  const show = button(say("wordsShow"), () => {
    const list = el("ol", { class: "recovery", attributes: { lang: "zxx" } });
    list.append(...(me.words ?? "").split(" ").map((word) => el("li", {}, el("code", { text: word }))));
    const forget = button(
      say("rootForget"),
      () => {
        if (confirm(say("rootForgetSure"))) void wallet.forgetRoot().then(() => showPeople(wallet));
      },
      { class: "grave" },
    );
    place.replaceChildren(el("p", { text: say("wordsWrite") }), list, el("p", {}, forget));
  });
  const about = el("p", { text: say(me.words === null ? "wordsGone" : "wordsAbout") });
  if (me.words !== null) place.append(show);
  return panel(say("wordsTitle"), about, place);
}

function exportPanel(wallet: Wallet): HTMLElement {
  const passphrase = secret("new-password");
  const again = secret("new-password");
  const run = async (): Promise<string> => {
    if ([...passphrase.value].length < PASSPHRASE_LEAST)
      throw new Told(say("passphraseShort", { count: PASSPHRASE_LEAST }));
    if (passphrase.value !== again.value) throw new Told(say("passphraseOther"));
    const text = await wallet.exported(passphrase.value);
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    const day = new Date(Date.now() + 9 * 3_600_000).toISOString().slice(0, 10);
    el("a", { attributes: { href: url, download: `p2pworld-keys-${day}.txt` } }).click();
    URL.revokeObjectURL(url);
    passphrase.value = again.value = "";
    return say("exported");
  };
  return panel(
    say("exportTitle"),
    el("p", { text: say("exportAbout") }),
    form(
      run,
      say("exportGo"),
      labelled(say("passphrase"), passphrase, say("passphraseHint", { count: PASSPHRASE_LEAST })),
      labelled(say("passphraseAgain"), again),
    ),
  );
}

function secret(autocomplete: string): HTMLInputElement {
  return el("input", { attributes: { type: "password", autocomplete } });
}

// ---- what one brings

function importPanel(wallet: Wallet): HTMLElement {
  const file = el("input", { attributes: { type: "file", accept: ".txt,text/plain" } });
  const passphrase = secret("current-password");
  const run = async (): Promise<string> => {
    const [chosen] = file.files ?? [];
    if (chosen === undefined) throw new Told(say("importNone"));
    try {
      const count = await wallet.take(await chosen.text(), passphrase.value, thisMinute(), deviceName());
      void showPeople(wallet).then(() => tell(announcer(), say("imported", { count })));
      return say("imported", { count });
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      throw new Told(say(error.message === "seal" ? "importLocked" : "importOther"));
    }
  };
  return panel(
    say("importTitle"),
    el("p", { text: say("importAbout") }),
    form(run, say("importGo"), labelled(say("importFile"), file), labelled(say("passphrase"), passphrase)),
  );
}

/** A line that outlives the panels. */
function announcer(): HTMLElement {
  const there = document.getElementById("people-said");
  if (there !== null) return there;
  const made = el("p", { class: "notice", id: "people-said", attributes: { role: "status" } });
  part("people").before(made);
  return made;
}

function recoverPanel(wallet: Wallet): HTMLElement {
  const words = el("textarea", { attributes: { rows: "3", autocomplete: "off", spellcheck: "false" } });
  const run = async (): Promise<string> => {
    const found = entropyOf(words.value);
    if (!(found instanceof Uint8Array)) {
      if (found.kind === "count")
        throw new Told(say("wordsCount", { count: found.count, needed: RECOVERY_WORDS }));
      throw new Told(found.kind === "word" ? say("wordsWord", { place: found.place }) : say("wordsSum"));
    }
    if (!confirm(say("recoverSure"))) throw new Told("");
    await wallet.recover(found, thisMinute(), deviceName());
    void showPeople(wallet).then(() => tell(announcer(), say("recovered")));
    return say("recovered");
  };
  return panel(
    say("recoverTitle"),
    el("p", { text: say("recoverAbout") }),
    form(run, say("recoverGo"), labelled(say("wordsTitle"), words)),
  );
}

// ---- devices

async function devicesPanel(wallet: Wallet, me: Me): Promise<HTMLElement> {
  const lost = new Set(await Promise.all(me.lost.map(async (line) => toHex((await parseLost(line)).device))));
  const list = el("ul", { class: "devices" });
  for (const line of me.devices) {
    const device = await parseDevice(line);
    const key = toHex(device.device);
    const here = line === me.line;
    const said = lost.has(key) ? say("deviceLost") : here ? say("deviceHere") : "";
    const item = el(
      "li",
      {},
      el("span", { foreign: device.label || "–" }),
      el("code", { text: key.slice(0, SHORT) }),
      el("span", { class: "hint", text: said }),
    );
    if (!here && !lost.has(key) && me.words !== null)
      item.append(
        button(say("deviceLose"), () => {
          if (confirm(say("deviceLoseSure")))
            void wallet.lose(device.device, thisMinute()).then(() => showPeople(wallet));
        }),
      );
    list.append(item);
  }
  return panel(
    say("devicesTitle"),
    el("p", { text: say("devicesAbout") }),
    list,
    el("p", {}, `${say("rootKey")} `, el("code", { class: "key", text: toHex(me.root) })),
  );
}
