/**
 * What the script of the citizen's pages says, in Korean and English; the node wrote everything else into the page.
 * A page in another language is spoken to in English. Sentences that go with a code come from the node (`sentences`).
 */

import type { Reason, Sentences, Words } from "../civic/form";

const TABLE = {
  draftBack: ["전에 쓰던 내용을 불러왔어요.", "Your draft from before is here again."],
  draftKept: ["이 기기에 저장했어요.", "Kept on this device."],
  draftErase: ["쓰던 내용을 모두 지울까요?", "Delete everything you have written here?"],
  sending: [
    "제출하고 있어요. 창을 닫아도 다시 이어서 보내요.",
    "Submitting. If you close the page, it goes on later.",
  ],
  waiting: [
    "아직 답이 없어요. 쓰던 내용과 신청은 이 기기에 남아 있고, 연결되면 저절로 다시 보내요.",
    "No answer yet. Your request is kept on this device and is sent again as soon as there is a connection.",
  ],
  accepted: ["접수했어요. 접수 번호 {number}", "Filed. Case number {number}"],
  refused: ["접수하지 못했어요: {why}", "This was not taken: {why}"],
  noOffice: [
    "이 신청을 받을 기관의 기록을 아직 찾을 수 없어요. 잠시 뒤에 다시 시도해 주세요.",
    "The record of the office for this request cannot be found yet. Please try again in a moment.",
  ],
  tooLarge: ["내용이 너무 길어서 보낼 수 없어요.", "This is too long to be sent."],
  errorCount: ["고칠 곳이 {count}곳 있어요", "There are {count} things to correct"],
  errorOne: ["고칠 곳이 한 곳 있어요", "There is one thing to correct"],
  erase: ["지우기", "Delete"],
  remove: ["{name} 빼기", "Remove {name}"],
  fileReads: ["파일을 확인하고 있어요.", "Looking at the files."],
  insideGu: ["{gu} 안이에요.", "This is in {gu}."],
  outside: ["서울 밖이에요.", "This is outside Seoul."],
  middleOf: [
    "{gu} 한가운데로 잡았어요. 더 정확한 곳을 알면 고쳐 주세요.",
    "The middle of {gu}; correct it if you know better.",
  ],
  hereNow: ["지금 있는 곳 쓰기", "Use where I am now"],
  hereFailed: [
    "위치를 알 수 없어요. 구나 장소를 골라 주세요.",
    "Your position is not known. Choose a district or a place.",
  ],
  wholeCity: ["서울 전체 보기", "Show all of Seoul"],
  found: ["{count}개를 찾았어요", "{count} found"],
  foundNone: ["찾을 수 없어요. 다른 말로 찾아 주세요.", "Nothing found. Try another word."],
  pending: ["보내는 중", "being sent"],
  pendingHint: [
    "아직 접수되지 않았어요. 연결되면 저절로 다시 보내요.",
    "Not filed yet; it is sent again by itself.",
  ],
  recorded: ["기록하는 중", "being recorded"],
  recordedHint: [
    "접수증이 있어요. 곧 상태가 보여요.",
    "You have the receipt; its state will show in a moment.",
  ],
  caseNumber: ["접수 번호", "Case number"],
  nothingToDo: ["지금은 하실 일이 없어요.", "There is nothing for you to do now."],
  letterText: ["보낼 글", "Your letter"],
  letterNeeded: ["보낼 글을 써 주세요.", "Please write something."],
  reasonText: ["까닭 (쓰지 않아도 돼요)", "Why (you need not say)"],
  stars: ["별점", "Stars"],
  starsOf: ["{count}점", "{count} of 5"],
  starsNeeded: ["별점을 골라 주세요.", "Please choose how many stars."],
  days: ["며칠 더 필요한가요?", "How many more days?"],
  sure: ["정말 할까요? 되돌릴 수 없어요.", "Are you sure? It cannot be undone."],
  doIt: ["{action}", "{action}"],
  done: ["기록했어요.", "Recorded."],
  office: ["담당 부서", "the office"],
  me: ["나", "me"],
  checkYes: ["기록에 들어 있어요", "It is in the record"],
  checkNo: ["기록과 맞지 않아요", "It does not match the record"],
  checkAlarm: [
    "이 접수증은 기록과 맞지 않아요. 감사인에게 알려 주세요.",
    "This receipt does not match the record. Please tell an auditor.",
  ],
  checkEntry: ["기록 {origin}의 {index}번이에요.", "It is entry {index} of the record {origin}."],
  checkSigned: [
    "기록의 서명을 확인했어요. 지금까지 {size}건이 들어 있어요.",
    "The record's signature holds; it has {size} entries.",
  ],
  checkContent: [
    "이 기기에 있는 내용이 바로 그 기록의 내용이에요.",
    "What is kept on this device is just what stands in the record.",
  ],
  checkPublic: ["공개된 내용이 그 기록에 들어 있어요.", "The public part stands in the record."],
  checkWitnesses: [
    "참관 기관 {count}곳이 확인했어요 (필요한 수 {quorum}).",
    "Confirmed by {count} witnesses ({quorum} are needed).",
  ],
  checkWitnessless: [
    "이 기록을 함께 지켜보는 기관은 아직 없어요.",
    "No other institution watches this record yet.",
  ],
  checkRoot: ["기록 전체의 지문값: {root}", "Fingerprint of the whole record: {root}"],
  checkLost: [
    "접수증을 받지 못했어요. 잠시 뒤에 다시 시도해 주세요.",
    "The receipt could not be fetched. Please try again.",
  ],
  unreadable: ["이 기기로는 읽을 수 없는 글이에요.", "This letter cannot be read with this device's keys."],
  erased: ["지운 내용이에요.", "This was erased."],
  yes: ["예", "Yes"],
  no: ["아니요", "No"],
  fileCount: ["파일 {count}개", "files: {count}"],
  keepsNothing: [
    "이 브라우저는 아무것도 보관하지 않아요. 창을 닫으면 열쇠와 신청이 사라져요.",
    "This browser keeps nothing: your keys and requests are gone when you close the window.",
  ],
} as const satisfies Record<string, readonly [string, string]>;

export type Key = keyof typeof TABLE;

/** The language of the page, one of ko, en, ja and zh. */
export const language = document.documentElement.lang || "ko";

const spoken = language === "ko" ? 0 : 1;

/** The sentence of `key`, its braces filled from `values`. */
export function say(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  return TABLE[key][spoken].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** What something calls itself in the page's language, or else in English. */
export function named(words: Words): string {
  return words[language] ?? words.en ?? words.ko ?? "";
}

/** Every sentence that goes with a code, from the address that the page names. */
export async function sentences(url: string): Promise<Sentences> {
  const answer = await fetch(url);
  return (await answer.json()) as Sentences;
}

/** Why something was refused. */
export function reason(
  words: Sentences,
  code: string,
  said?: { readonly ko: string; readonly en: string },
): string {
  const known: Reason | { ko: string; en: string } = words.reasons[code] ?? said ?? words.other;
  return (language === "ko" ? known.ko : known.en) || (language === "ko" ? words.other.ko : words.other.en);
}
