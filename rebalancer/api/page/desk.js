// What the page knows of the desk: the tokens as last told, the desk's own time, and the link.

import { isPublic, list, read } from "./api.js";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const desk = {
  status: null,
  tokens: new Map(),
  dayAgo: new Map(),
  day: new Map(),
  link: "connecting",
  linkWhy: "",
};

// The desk's time, and how fast it runs: a paper desk may live faster than the wall.
const clock = { at: null, heard: 0, rate: 1, start: null };

export function hear(at) {
  const heard = performance.now();
  if (clock.start === null || at < clock.at) clock.start = { at, heard };
  const passed = heard - clock.start.heard;
  // Over several seconds, so that the jitter of one message does not move a countdown.
  if (passed > 2500) {
    clock.rate = Math.max(0, (at - clock.start.at) / passed);
    if (passed > 20_000) clock.start = { at, heard };
  }
  clock.at = at;
  clock.heard = heard;
}

export function deskNow() {
  if (clock.at === null) return null;
  const passed = desk.link === "live" ? Math.min(performance.now() - clock.heard, 3000) : 0;
  return clock.at + passed * clock.rate;
}

export const silentFor = () => (clock.at === null ? 0 : performance.now() - clock.heard);
export const pace = () => (clock.rate > 1.5 ? Math.round(clock.rate) : 1);
export const forgetPace = () => { clock.start = null; };

export async function load() {
  const [status, tokens] = await Promise.all([read("status"), list("tokens?limit=500")]);
  desk.status = status;
  desk.tokens = new Map(tokens.map((token) => [token.tokenName, token]));
  if (clock.at === null) hear(status.timestamp);
}

// A message of the stream over the document of the token.
export function takeNav(message) {
  const token = desk.tokens.get(message.s);
  if (!token) return;
  Object.assign(token, {
    nav: message.n, formulaNav: message.i, realLeverage: message.l, targetLeverage: message.t,
    tokenIssued: message.m, navTime: message.T, navState: message.S, timestamp: message.E,
    marketPrice: message.p, premium: message.p && Number(message.n) ? String(Number(message.p) / Number(message.n) - 1) : null,
  });
  // The stream carries no equity; where it may be seen it has to go with the NAV beside it.
  if (token.equity !== undefined) token.equity = message.n === null ? null : String(Number(message.n) * Number(message.m));
  if (message.b && token.currentBaskets) {
    const known = new Map(token.currentBaskets.map((one) => [one.symbol, one]));
    token.currentBaskets = message.b.map(({ s, n }) =>
      ({ symbol: s, amount: n, notionalValue: known.get(s)?.amount === n ? known.get(s).notionalValue : null }));
  }
}

// The NAVs of the last day, and the one of a day before: null where the desk has not run that long.
export async function loadDay(name) {
  const from = (desk.tokens.get(name)?.timestamp ?? 0) - DAY_MS;
  const path = `tokens/${encodeURIComponent(name)}`;
  const [klines, hours] = await Promise.all([
    read(`${path}/klines?interval=15m&startTime=${Math.max(0, from - HOUR_MS)}&limit=6`
      + `&endTime=${Math.max(0, from)}`),
    read(`${path}/klines?interval=1h&limit=24`),
  ]);
  const open = klines.at(-1);
  desk.day.set(name, hours.map((row) => [row[6], Number(row[4])]));
  desk.dayAgo.set(name, open ? Number(open[4]) : null);
}

const ratio = (now, before) => (now && before ? Number(now) / Number(before) - 1 : null);
export const dayChange = (token) => ratio(token.nav, desk.dayAgo.get(token.tokenName));
export const pointChange = (token) => ratio(token.formulaNav, token.preNav);
export const gapBps = (token) => {
  const gap = ratio(token.nav, token.formulaNav);
  return gap === null ? null : gap * 10_000;
};

export function bandOf(token) {
  return token.lowerBand === null ? [null, null] : [Number(token.lowerBand), Number(token.upperBand)];
}

// One word for the state, and how much it matters.
export function stateOf(token) {
  if (token.state === "wiped" || token.state === "halted") return [token.state, "bad"];
  if (token.state !== "active") return [token.state, "warn"];
  if (token.navState === "STALE") return ["stale price", "warn"];
  if (token.navState === "WAITING") return ["waiting", "idle"];
  if (token.rebalancing) return [`rebalancing: ${token.rebalancing}`, "busy"];
  return [token.indexOnly ? "index only" : "active", "good"];
}

export function nextFixed() {
  const due = [...desk.tokens.values()].filter((token) => token.nextRebalanceTime !== null);
  due.sort((one, other) => one.nextRebalanceTime - other.nextRebalanceTime);
  return due[0] ?? null;
}

export { isPublic };
