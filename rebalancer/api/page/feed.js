// What happened, newest first, and what needs a person.

import { failedChecks, list, read } from "./api.js";
import { bandOf, desk, isPublic, stateOf } from "./desk.js";
import { change, el, find, mark, moment, nav, number, sentence, times, words, write } from "./format.js";

const KEPT = 200;
const SHOWN = 40;
const events = [];
let checks = [];
let raised = [];

const asEvent = (run) => ({ E: run.time, e: "rebalance", s: run.tokenName, a: run.status, r: `${run.trigger}: ${run.reason}` });

export async function loadFeed() {
  const [runs, decisions] = await Promise.all([
    read("rebalances?limit=40"),
    isPublic ? [] : list("decisions?limit=40", 40),
  ]);
  const verdicts = decisions.map((one) => ({ E: one.time, e: "decision", s: one.tokenName, a: one.trigger, r: one.reason }));
  events.splice(0, events.length, ...[...runs.items.map(asEvent), ...verdicts].sort((one, other) => other.E - one.E));
  drawFeed();
}

export function takeEvent(message) {
  events.unshift(message);
  events.length = Math.min(events.length, KEPT);
  drawFeed();
}

// "price_move: the price moved ..." in words; "fixed: fixed time ..." says its first word once.
const told = (reason) => sentence(reason).replace(/^([a-z_]+): (?=\1)/, "").replace(/^[a-z_]+(?=:)/, words);

// A strike tells its NAV to the last digit, which is more than a line of words needs.
const said = ({ e, a, r }) => (e === "strike" ? `${r} ${nav(a)}` : told(r));
const kindOf = ({ e, a }) => (e === "decision" ? WORDS[`${e}/${a}`] ?? a : e === "strike" ? e : `${e} ${a}`);

const WORDS = { "decision/none": "no trade", "decision/fixed": "due" };

export function drawFeed() {
  const wanted = events.filter((one) => find("why")?.checked || one.e !== "decision").slice(0, SHOWN);
  find("feed-list").replaceChildren(...(wanted.length ? wanted.map((one) => el("li", { "data-kind": one.e },
    el("time", { datetime: new Date(one.E).toISOString(), text: moment(one.E) }),
    one.s && desk.tokens.has(one.s) ? el("a", { href: `#/fund/${encodeURIComponent(one.s)}`, text: one.s }) : el("span", { text: one.s || "desk" }),
    el("span", { class: "kind", text: kindOf(one) }),
    el("span", { class: "reason", text: said(one) }))) : [el("li", { class: "none", text: "Nothing happened yet." })]));
}

export async function loadAlerts() {
  const [failed, told] = await Promise.all([failedChecks(), isPublic ? { items: [] } : read("alerts")]);
  checks = failed;
  raised = told.items;
  drawAlerts();
}

const TONES = { critical: "bad", warning: "warn", info: "warn" };

// What the desk raised, then what the numbers show besides.
function concerns() {
  const found = raised.map((one) => ({ tone: TONES[one.severity], about: one.subject || "desk",
    what: words(one.name), text: one.text, since: one.since }));
  found.push(...checks.map((text) => ({ tone: "warn", about: "desk", what: "not ready", text })));
  const told = new Set(raised.map((one) => one.subject));
  for (const token of desk.tokens.values()) {
    if (told.has(token.tokenName)) continue;
    const [word, tone] = stateOf(token);
    const [lower, upper] = bandOf(token);
    const size = Math.abs(number(token.realLeverage) ?? 0);
    if (tone === "bad" || (tone === "warn" && token.state !== "active")) {
      found.push({ tone, about: token.tokenName, what: word, text: token.stateReason });
    } else if (tone === "warn") {
      found.push({ tone, about: token.tokenName, what: "stale price", text: "its price is older than the fund allows" });
    }
    if (token.premiumStage && token.premiumStage !== "none") {
      found.push({ tone: "warn", about: token.tokenName, what: `premium, ${token.premiumStage}`, text: change(number(token.premium)).text });
    }
    if (lower !== null && token.realLeverage !== null && (size < lower || size > upper)) {
      found.push({ tone: "bad", about: token.tokenName, what: "leverage", text: `outside its band of ${times(token.lowerBand)} to ${times(token.upperBand)}` });
    }
  }
  return found;
}

// On a phone alerts are one line until somebody opens it: they would be the whole first screen.
const phone = matchMedia("(max-width: 720px)");
const fold = () => { find("alert-fold").open = !phone.matches; };
phone.addEventListener("change", fold);

// Redrawn only when something else is the matter, so that a screen reader speaks only then.
export function drawAlerts() {
  const found = concerns();
  const told = JSON.stringify(found);
  const node = find("alert-list");
  if (node.dataset.told === told) return;
  if (node.dataset.told === undefined) fold();
  node.dataset.told = told;
  find("alert-none").hidden = found.length > 0;
  find("alert-fold").hidden = found.length === 0;
  const line = find("alert-fold").firstElementChild;
  write(line, `${found.length}: ${found.map(({ about, what }) => `${about} ${what}`).join(", ")}`);
  mark(line, "class", found.some(({ tone }) => tone === "bad") ? "bad" : "warn");
  write(find("alert-said"), found.map(({ about, what, text }) => `${about}: ${what}, ${text}`).join(". ") || "No alert.");
  node.replaceChildren(...found.map(({ tone, about, what, text, since }) => el("li", { class: tone },
    el("strong", { text: about }), el("span", { class: "what", text: what }), el("span", { text }),
    el("span", { class: "when", text: since ? `since ${moment(since)}` : "" }))));
}
