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
  bringing: ["파일을 봉인해서 보내고 있어요. {percent}%", "Sealing and sending the files: {percent} %"],
  claimNeeded: ["이 신청에는 본인 확인이 필요해요.", "You need to be verified for this."],
  claimGo: ["본인 확인하러 가기", "Go and be verified"],
  supportClaim: [
    "공감은 한 사람이 한 번 셀 수 있도록 본인 확인이 필요해요. 누구인지는 남지 않아요.",
    "Everybody counts once, so you need to be verified. Who you are is not kept.",
  ],
  supported: ["공감했어요. 고마워요.", "You support this. Thank you."],
  supportedAlready: ["이미 공감하셨어요.", "You support this already."],
  supportLost: ["아직 답이 없어요. 다시 눌러 주세요.", "No answer yet. Please press again."],
  slotsLost: [
    "빈 시간을 불러오지 못했어요. 시설을 다시 골라 주세요.",
    "The free times could not be fetched. Choose the facility again.",
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
  eraseGo: ["봉인된 내용 지우기", "Have what is sealed erased"],
  eraseGoes: [
    "없어지는 것: 이 신청과 내가 보낸 글에 봉인된 내용과 첨부 파일. 기관도 더는 읽을 수 없으니, 처리가 끝나기 전이면 답을 받지 못할 수 있어요.",
    "What goes: everything sealed with this request and with the letters you wrote, and the files attached to them. The office cannot read it any more; before it has answered, it may no longer be able to.",
  ],
  eraseStays: [
    "남는 것: 접수 번호, 날짜, 공개된 항목, 처리 과정, 그리고 내가 지웠다는 기록. 기관이 쓴 글은 기관만 지울 수 있어요. 이 기기에 있는 내 사본과 접수증도 남아요.",
    "What stays in the record: the number, dates, the public part, each step, and that you had it erased. Letters of the office only the office can erase. Your own copy and the receipt stay on this device.",
  ],
  eraseSure: [
    "봉인된 내용과 첨부 파일을 정말 지울까요? 되돌릴 수 없어요.",
    "Erase what is sealed, and the files? It cannot be undone.",
  ],
  eraseSending: ["지우고 있어요.", "Having it erased."],
  eraseDone: [
    "기관에 봉인되어 있던 내용과 첨부 파일을 지웠어요. 아래는 이 기기에만 있는 사본이에요.",
    "What was sealed at the office was erased, and its files. Below is the copy that is on this device alone.",
  ],
  filesText: ["파일 (쓰지 않아도 돼요)", "Files (you need not attach any)"],
  filesHint: [
    "{types}, {count}개까지, 하나에 {limit} MiB까지",
    "{types}; at most {count}, each up to {limit} MiB",
  ],
  filesLost: [
    "파일을 보내지 못했어요. 잠시 뒤에 다시 눌러 주세요.",
    "The files did not arrive. Please try again in a moment.",
  ],
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
  working: ["하고 있어요.", "Working."],
  devicePhone: ["휴대전화 ({day})", "phone ({day})"],
  deviceComputer: ["컴퓨터 ({day})", "computer ({day})"],
  attestTitle: ["본인 확인", "Being verified"],
  attestAbout: [
    "한 사람이 한 번씩만 예약하거나 추첨에 참여하도록 확인해요. 누구인지는 어느 기관에도 알리지 않고, 목적마다 다른 가명만 써요.",
    "So that everybody books and enters draws once. No office learns who you are: each purpose has a pseudonym of its own.",
  ],
  attestKnown: ["이 기기는 확인되어 있어요: {where}", "This device is verified by: {where}"],
  attestDown: ["지금 답하지 않아요: {where}", "Does not answer just now: {where}"],
  attestLogin: ["로그인해서 확인하기", "Log in and be verified"],
  attestCode: ["창구에서 받은 번호", "The code from the counter"],
  attestCodeHint: [
    "담당자가 신분을 확인하고 불러 준 번호예요.",
    "An official reads it to you after seeing your document.",
  ],
  attestCodeNeeded: ["번호를 써 주세요.", "Please type the code."],
  attestGo: ["확인하기", "Verify"],
  attestDone: ["본인 확인을 마쳤어요.", "You are verified."],
  attestBack: ["쓰던 신청서로 돌아가기", "Back to the form"],
  attestFailed: ["확인하지 못했어요 ({reason}).", "You could not be verified ({reason})."],
  attestOther: ["다른 확인 기관", "Another attestor"],
  attestAddress: ["확인 기관 주소", "Address of the attestor"],
  attestAddressWrong: [
    "https:// 로 시작하는 주소를 써 주세요.",
    "Please write an address that begins with https://",
  ],
  attestFind: ["찾기", "Find"],
  wordsTitle: ["복구 낱말 아홉 개", "Nine recovery words"],
  wordsAbout: [
    "이 낱말이 있으면 어느 기기에서나 다시 내가 될 수 있어요. 종이에 적어 안전한 곳에 두고, 누구에게도 보여 주지 마세요.",
    "With these words you can be yourself again on any device. Write them on paper, keep them safe, show them to nobody.",
  ],
  wordsShow: ["낱말 보기", "Show the words"],
  wordsWrite: ["차례대로 적어 주세요.", "Write them down in this order."],
  wordsGone: [
    "이 기기는 뿌리 열쇠를 잊었어요. 적어 둔 낱말이 있어야 되살릴 수 있어요.",
    "This device has forgotten the root key. Only the words you wrote down bring it back.",
  ],
  rootForget: ["이 기기에서 뿌리 열쇠 잊기", "Let this device forget the root key"],
  rootForgetSure: [
    "낱말을 적어 두셨나요? 이 기기에서는 다시 볼 수 없어요.",
    "Have you written the words down? This device cannot show them again.",
  ],
  exportTitle: ["열쇠와 신청 내보내기", "Export keys and requests"],
  exportAbout: [
    "신청과 접수증, 열쇠를 암호로 잠근 파일 하나에 담아요. 다른 기기에서 이 파일을 가져오면 이어서 쓸 수 있어요.",
    "Puts requests, receipts and keys into one file, locked with a passphrase. Import it on another device to go on there.",
  ],
  exportGo: ["파일로 내보내기", "Export to a file"],
  exported: [
    "파일을 내려받았어요. 암호를 잊으면 열 수 없어요.",
    "Downloaded. Without the passphrase nobody can open it.",
  ],
  passphrase: ["암호", "Passphrase"],
  passphraseHint: [
    "{count}자 이상. 여러 낱말을 이어 쓰면 좋아요.",
    "At least {count} characters; several words are best.",
  ],
  passphraseAgain: ["암호 한 번 더", "Passphrase once more"],
  passphraseShort: ["암호를 {count}자 이상 써 주세요.", "Please use at least {count} characters."],
  passphraseOther: ["두 암호가 서로 달라요.", "The two passphrases differ."],
  importTitle: ["다른 기기에서 가져오기", "Import from another device"],
  importAbout: [
    "다른 기기에서 내보낸 파일과 그 암호가 필요해요. 이 기기는 나의 새 기기가 돼요.",
    "Takes the file that another device exported, and its passphrase. This becomes one more device of yours.",
  ],
  importFile: ["내보낸 파일", "The exported file"],
  importGo: ["가져오기", "Import"],
  importNone: ["파일을 골라 주세요.", "Please choose the file."],
  importLocked: [
    "암호가 다르거나 파일이 바뀌었어요.",
    "The passphrase is another one, or the file was altered.",
  ],
  importOther: ["내보낸 파일이 아니에요.", "This is not such a file."],
  imported: ["가져왔어요. 새 신청 {count}건", "Imported; new requests: {count}"],
  recoverTitle: ["낱말로 되살리기", "Recover with the words"],
  recoverAbout: [
    "적어 둔 아홉 낱말로 이 기기를 나의 새 기기로 만들어요. 신청 내용은 파일로만 옮길 수 있어요.",
    "Makes this one of your devices by the nine words you wrote down. Requests move only by the exported file.",
  ],
  recoverGo: ["되살리기", "Recover"],
  recoverSure: ["이 기기의 지금 열쇠를 바꿀까요?", "Replace the key that this device has now?"],
  recovered: ["되살렸어요. 이 기기는 이제 나의 기기예요.", "Recovered: this is now one of your devices."],
  wordsCount: [
    "낱말이 {count}개예요. {needed}개를 써 주세요.",
    "These are {count} words; please write all {needed}.",
  ],
  wordsWord: ["{place}번째 낱말을 다시 확인해 주세요.", "Please check word number {place}."],
  wordsSum: ["낱말 가운데 잘못 적은 것이 있어요.", "One of the words is not right."],
  devicesTitle: ["내 기기", "My devices"],
  devicesAbout: [
    "뿌리 열쇠가 서명한 기기예요. 잃어버린 기기는 여기서 알려 주세요.",
    "Devices that your root key has signed. If you lose one, say so here.",
  ],
  deviceHere: ["지금 이 기기", "this device"],
  deviceLost: ["잃어버린 기기", "lost"],
  deviceLose: ["잃어버렸어요", "I have lost it"],
  deviceLoseSure: [
    "이 기기를 잃어버린 것으로 할까요? 되돌릴 수 없어요.",
    "Mark this device as lost? It cannot be undone.",
  ],
  rootKey: ["나를 나타내는 열쇠:", "The key you are known by:"],
  keepsNothing: [
    "이 브라우저는 아무것도 보관하지 않아요. 창을 닫으면 열쇠와 신청이 사라져요.",
    "This browser keeps nothing: your keys and requests are gone when you close the window.",
  ],
} as const satisfies Record<string, readonly [string, string]>;

export type Key = keyof typeof TABLE;

/** The language of the page, one of ko, en, ja and zh. */
export const language = document.documentElement.lang || "ko";

/** The language that this script speaks. */
export const spoken = language === "ko" ? "ko" : "en";

/** The sentence of `key`, its braces filled from `values`. */
export function say(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  return TABLE[key][spoken === "ko" ? 0 : 1].replace(/\{(\w+)\}/g, (whole, name: string) =>
    String(values[name] ?? whole),
  );
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
