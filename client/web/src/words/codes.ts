/**
 * What nodes tell by a code, in both languages: refusals, notices, ends of a connection, corrections.
 *
 * A node sends a code and an English sentence. Where the sentence carries values (a stop, a number of seconds), `read`
 * takes them out of it, and `{1}`, `{2}` stand for them; a sentence that reads otherwise is shown as it came. So is
 * one whose code is not in the table: a newer node knows more than this page.
 */

import type { Language } from "./table";

interface Told {
  readonly ko: string;
  readonly en: string;
  /** Finds the values in the node's sentence. */
  readonly read?: RegExp;
}

const told = (ko: string, en: string, read?: RegExp): Told => ({ ko, en, read });
const AGAIN = { ko: "잠시 뒤에 다시 시도해 주세요.", en: "Please try again in a moment." } as const;
const BY_MODERATOR = /^A moderator has .* until (.+) \(Seoul\): (.+)\.$/;
/** What a node tells in both languages itself. */
const BOTH = /^(.+) · (.+)$/;

/** Every code that nodes tell people, and this page itself. */
export const CODES = {
  // acts
  busy: told(`지금 여기에 일이 몰려 있어요. ${AGAIN.ko}`, `Too much is happening here at once. ${AGAIN.en}`),
  moved: told(
    "이 구역을 다른 서버로 옮기고 있어요. 잠시만 기다려 주세요.",
    "This area is moving to another server. One moment, please.",
  ),
  lapsed: told(
    `지금은 이 구역이 아무것도 확인해 줄 수 없어요. ${AGAIN.ko}`,
    `This area cannot confirm anything just now. ${AGAIN.en}`,
  ),
  disk: told(`지금은 저장할 수 없어요. ${AGAIN.ko}`, `This cannot be saved just now. ${AGAIN.en}`),
  no_counter: told("여기에는 번호표 창구가 없어요.", "There is no counter with numbers here."),
  not_yours: told(
    "이 창구의 담당자만 번호를 부를 수 있어요.",
    "Only those who work at this counter call numbers.",
  ),
  nobody: told("기다리는 번호가 없어요.", "Nobody waits with a number."),
  verb: told("이 도시에서는 아직 할 수 없는 일이에요.", "This city does not know how to do that."),
  text: told(
    "쓸 수 없는 글이에요. 길이와 글자를 살펴 주세요.",
    "This text cannot be used. Please check its length and characters.",
  ),
  yours_full: told(
    "여기에 둘 수 있는 것을 모두 두었어요: {1}개",
    "You have put up {1} things here; that is the most.",
    /^You have put up (\d+) /,
  ),
  full: told(
    "여기는 자리가 없어요. 조금 더 걸어가 보세요.",
    "There is no more room here. Walk on a little and try there.",
  ),
  pending_full: told(
    "도시가 다시 이어질 때까지 더는 맡아 둘 수 없어요. 나중에 다시 해 주세요.",
    "No more can wait here until the city is whole again. Please try again then.",
  ),
  expunged: told("운영자가 내린 것이에요.", "A moderator took this down for good."),
  far: told("더 가까이 가야 할 수 있어요.", "You are too far away for that. Go nearer."),
  no_target: told("여기에는 그런 종이 없어요.", "There is no such bell here."),
  not_now: told(
    "지금은 종을 칠 때가 아니에요. 리허설을 시작하면 칠 수 있어요.",
    "It rings at its time. Start a rehearsal to strike it.",
  ),
  // programmes
  no_programme: told("그런 행사가 없어요.", "There is no such programme."),
  not_there: told(
    "행사가 열리는 곳에서 시작할 수 있어요.",
    "A rehearsal is started where it happens: go there first.",
  ),
  no_rehearsal: told("이 행사는 리허설이 없어요.", "This programme is not rehearsed."),
  soon: told(
    "곧 진짜 행사가 시작돼요. 리허설은 나중에 해요.",
    "The programme itself is about to begin; no rehearsal now.",
  ),
  rehearsed: told(
    "방금 리허설을 했어요. 30초 뒤에 다시 할 수 있어요.",
    "It has just been rehearsed. Wait half a minute.",
  ),
  rehearsal: told("리허설이 시작돼요: {1}", "A rehearsal begins: {2}", BOTH),
  programme: told("{1}", "{2}", BOTH),
  // places and ways
  "no-such-place": told(
    "찾을 수 없는 장소예요.",
    "There is no place called {1}.",
    /^There is no place called (.+)\.$/,
  ),
  "place-closed": told("지금은 들어갈 수 없는 곳이에요.", "You cannot enter this place at the moment."),
  "place-full": told(
    "가득 찼어요. 자리가 나면 다시 와 주세요.",
    "This place is full. Please come again later.",
  ),
  outside: told("서울 밖으로는 갈 수 없어요.", "One cannot leave Seoul here."),
  reach: told("너무 빨라요. 제자리로 돌아왔어요.", "That was too fast; you are back where you were."),
  ride: told("버스에 타고 있지 않아요.", "You are not on a bus."),
  closed: told("지금은 이 구역에 들어갈 수 없어요.", "You cannot enter this area at the moment."),
  wall: told("벽이 있어요.", "There is a wall."),
  // friends
  "friend-away": told("지금은 그 사람 곁으로 갈 수 없어요.", "You cannot go to that person just now."),
  "friend-came": told("{1} 님이 곁에 왔어요.", "{1} has come to you.", /^(.+) has come to you\.$/),
  "friend-rides": told(
    "친구가 버스를 타고 있어요. 내린 뒤에 다시 가 보세요.",
    "Your friend is on a bus. Try again when they are off it.",
  ),
  "friend-rate": told(
    "너무 자주 찾고 있어요. 잠시 뒤에 다시 해 주세요.",
    "You ask for friends too often. Wait a little.",
  ),
  "friends-full": told(
    "맞이할 수 있는 친구 수를 넘었어요: {1}명",
    "At most {1} friends can be welcome at a time.",
    /^At most (\d+) /,
  ),
  // the bus
  aboard: told("이미 버스에 탔어요.", "You are on the bus already."),
  "no-bus": told(
    "아직 버스가 없어요. 가장 가까운 정류장: {1}, {2}m",
    "No bus stands here. The nearest stop is {1}, {2} m away.",
    /nearest stop is (.+), (\d+) m away/,
  ),
  "bus-full": told(
    "버스에 빈자리가 없어요. 다음 버스를 타 주세요.",
    "Every seat of this bus is taken. Please take the next one.",
  ),
  "on-board": told(
    "버스 {1}, 좌석 {2}. 타는 곳: {3}",
    "Bus {1}, seat {2}, from {3}.",
    /^Bus (\d+), seat (\d+), from (.+)\.$/,
  ),
  "not-aboard": told("버스에 타고 있지 않아요.", "You are not on a bus."),
  "bus-moving": told(
    "정류장에서 내릴 수 있어요. 잠시만 기다려 주세요.",
    "One gets off at stops. Please wait for the next one.",
  ),
  "got-off": told("내린 곳: {1}", "You are at {1}.", /^You are at (.+)\.$/),
  "set-down": told(
    "버스가 더 갈 수 없어서 여기에 내려 드렸어요.",
    "The bus cannot take you further, so it has set you down here.",
  ),
  // talking
  "say-rate": told("말이 너무 빨라요. 잠시 쉬었다 말해 주세요.", "You are speaking too fast. Wait a moment."),
  "say-text": told("쓸 수 없는 글자가 들어 있어요.", "The text contains characters that cannot be used."),
  "say-clock": told(
    "기기의 시계가 맞지 않아요. 시각을 맞추고 다시 보내 주세요.",
    "Your device's clock is wrong. Please set it and send again.",
  ),
  "say-signature": told("서명을 확인할 수 없어요.", "The signature could not be confirmed."),
  "say-group": told("모임을 먼저 들어야 말할 수 있어요.", "Listen to the group before you speak in it."),
  "say-place": told(
    "여기는 이름난 장소가 아니에요. 주변 대화를 써 주세요.",
    "There is no place here. Speak to those nearby.",
  ),
  "say-nobody": told("그 사람은 지금 서울에 없어요.", "That person is not in the city just now."),
  "say-channel": told("그런 대화 칸은 없어요.", "There is no such channel."),
  "blocks-full": told(
    "차단할 수 있는 사람 수를 넘었어요: {1}명",
    "At most {1} people can be blocked at a time.",
    /^At most (\d+) /,
  ),
  "groups-full": told(
    "한 번에 들을 수 있는 모임 수를 넘었어요: {1}개",
    "At most {1} groups at a time.",
    /^At most (\d+) /,
  ),
  // moderation
  "report-rate": told(
    "신고가 너무 잦아요. 1분 뒤에 다시 해 주세요.",
    "That is many reports. Please wait a minute.",
  ),
  "report-signature": told(
    "그 사람이 한 말이 아니라서 신고할 수 없어요.",
    "This is not what that person said.",
  ),
  muted: told(
    "{1}까지 대화를 보낼 수 없어요. 까닭: {2}",
    "You cannot send messages until {1}. Reason: {2}",
    BY_MODERATOR,
  ),
  banned: told(
    "{1}까지 들어올 수 없어요. 까닭: {2}",
    "You cannot come in until {1}. Reason: {2}",
    BY_MODERATOR,
  ),
  removed: told(
    "운영자가 나가 달라고 했어요. {1}까지 여기에 올 수 없어요. 까닭: {2}",
    "A moderator has asked you to leave until {1}. Reason: {2}",
    BY_MODERATOR,
  ),
  // a node that cannot keep up
  pace: told(
    "사람이 많아서 지금은 1초에 {1}번 보여 드려요.",
    "Everybody is shown {1} times a second now.",
    /^Everybody is shown ([\d.]+) times a second now/,
  ),
  // connections
  again: told("다시 들어가고 있어요.", "Coming in again."),
  key: told("이 번호는 다른 열쇠의 것이에요.", "This id belongs to another key."),
  expired: told(
    "이동 정보를 확인할 수 없어요. 다시 들어와 주세요.",
    "Your transfer could not be confirmed. Please enter again.",
  ),
  elsewhere: told("다른 기기에서 같은 열쇠로 들어왔어요.", "Your key came in on another device."),
  leaving: told(
    "이 서버가 쉬러 가요. 다른 서버로 들어가고 있어요.",
    "This server is going to rest; coming in at another.",
  ),
  slow: told(
    "인터넷이 느려서 받을 것이 너무 많이 밀렸어요.",
    "The connection is slow: too many messages are waiting for you.",
  ),
  malformed: told("화면이 오래되었어요. 새로 고쳐 주세요.", "This page is out of date. Please reload."),
  version: told("화면이 오래되었어요. 새로 고쳐 주세요.", "This page is out of date. Please reload."),
  url: told("서버의 주소가 맞지 않아요.", "The server's address is not the one it claims."),
  clock: told(
    "기기의 시계가 맞지 않아요. 시각을 맞추고 다시 들어와 주세요.",
    "Your device's clock is wrong. Please set it and enter again.",
  ),
  signature: told(
    "서명을 확인할 수 없어요. 다시 들어와 주세요.",
    "The signature could not be confirmed. Please enter again.",
  ),
  twice: told(
    "서버가 잘못된 말을 했어요. 다시 들어가고 있어요.",
    "The server broke the rules. Coming in again.",
  ),
  node: told("다른 서버가 대답했어요. 다시 들어가고 있어요.", "Another server answered. Coming in again."),
} as const satisfies Record<string, Told>;

/** The sentence for a code; `sentence` as it came where there is none, and where that is empty, null. */
export function codeText(code: string, sentence: string, language: Language): string | null {
  const known: Told | undefined = Object.hasOwn(CODES, code) ? CODES[code as keyof typeof CODES] : undefined;
  if (known === undefined) return sentence === "" ? null : sentence;
  const text = known[language];
  if (known.read === undefined) return text;
  const found = known.read.exec(sentence);
  if (found === null) return sentence === "" ? null : sentence;
  return text.replace(/\{(\d)\}/g, (_whole, at: string) => found[Number(at)] ?? "");
}
