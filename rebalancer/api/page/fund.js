// The page of one fund: what it is worth, where its leverage went, what it did and why.

import { hasToken, list, read } from "./api.js";
import { Chart } from "./chart.js";
import { askCommand } from "./commands.js";
import { bandOf, dayChange, desk, deskNow, gapBps, isPublic, pointChange, stateOf } from "./desk.js";
import { ago, change, countdown, el, find, fixed, mark, moment, nav, nothing, number, sentence, table, times, words, write } from "./format.js";
import { num, paid, positions, triggers, underlying } from "./holdings.js";
import { drawPremium, steps } from "./premium.js";

const INTERVALS = ["1m", "5m", "15m", "1h", "1d"];
const POINTS = 400;
const ROWS = 20;
const VERDICTS = 8;
let shown = null;

const path = (name) => `tokens/${encodeURIComponent(name)}`;

export function closeFund() {
  shown = null;
  find("fund").replaceChildren();
}

export function openFund(name) {
  const token = desk.tokens.get(name);
  const article = find("fund");
  if (!token) {
    shown = null;
    article.replaceChildren(el("p", { class: "notice bad", text: `This desk has no fund ${name}.` }));
    return;
  }
  shown = { name, interval: "1m", points: [], facts: new Map(), runs: [], told: "" };
  shown.navs = new Chart("NAV against the ideal", nav);
  shown.leverage = new Chart("Leverage", times);
  shown.premium = new Chart("Market price against NAV", nav);
  shown.premium.node.classList.add("wide");
  shown.parts = el("div", { class: "parts" });
  shown.why = el("p", { class: "why", hidden: isPublic });
  shown.state = el("span", { class: "state" });
  shown.commands = el("p", { class: "buttons" });
  shown.figures = el("dl", { class: "figures" });
  article.replaceChildren(
    el("nav", { "aria-label": "Way back" }, el("a", { href: "#/", text: "\u2190 All funds" })),
    el("div", { class: "head" }, el("h2", { id: "fund-title", tabindex: "-1", text: name }), shown.state, shown.commands),
    el("p", { class: "about", text: token.description }),
    shown.why, shown.figures, intervals(),
    el("div", { class: "charts" }, shown.navs.node, shown.leverage.node, shown.premium.node),
    shown.parts,
    ...(token.riskStatement ? [el("p", { class: "about", text: token.riskStatement })] : []),
  );
  article.setAttribute("aria-labelledby", "fund-title");
  find("fund-title").focus({ preventScroll: true });
  drawFund();
  refreshFund();
}

function intervals() {
  const choices = INTERVALS.map((each) => el("label", {}, el("input", {
    type: "radio", name: "interval", value: each, checked: each === shown.interval,
    on: { change: () => { shown.interval = each; refreshFund(); } },
  }), el("span", { text: each })));
  return el("fieldset", { class: "choices" }, el("legend", { text: "One point each" }), ...choices);
}

function fact(name, text, tone = "") {
  let node = shown.facts.get(name);
  if (!node) {
    node = el("dd");
    shown.facts.set(name, node);
    shown.figures.append(el("div", {}, el("dt", { text: name }), node));
  }
  write(node, text);
  mark(node, "class", tone);
}

export function drawFund() {
  const token = shown && desk.tokens.get(shown.name);
  if (!token) return;
  const [word, tone] = stateOf(token);
  write(shown.state, word);
  mark(shown.state, "class", `state ${tone}`);
  drawCommands(token);
  const since = change(pointChange(token));
  const today = change(dayChange(token));
  const [lower, upper] = bandOf(token);
  const size = Math.abs(number(token.realLeverage) ?? Number(token.targetLeverage));
  const gap = gapBps(token);
  const now = deskNow();
  fact("NAV", nav(token.nav), "big");
  fact("Ideal NAV", nav(token.formulaNav));
  fact("Gap", gap === null ? "\u2013" : `${fixed(String(gap), 1)} bps`);
  fact("24 h", today.text, today.tone);
  fact("Since rebalance", since.text, since.tone);
  fact("Leverage", times(token.realLeverage), lower !== null && (size < lower || size > upper) ? "bad" : "");
  fact("Target", times(token.targetLeverage));
  fact("Band", lower === null ? "none" : `${times(token.lowerBand)} to ${times(token.upperBand)}`);
  fact("Price age", token.navTime === null ? "\u2013" : ago(now - token.navTime), token.navState === "STALE" ? "warn" : "");
  fact("Issued", fixed(token.tokenIssued, 2));
  if (token.equity !== undefined) fact("Equity", fixed(token.equity, 2));
  if (token.market) {
    fact("Market price", token.marketPrice === null ? "none now" : nav(token.marketPrice), token.marketPrice === null ? "warn" : "");
    fact("Premium", change(number(token.premium)).text, token.premiumStage === "none" ? "" : "warn");
  }
  fact("Next rebalance", token.nextRebalanceTime === null ? "none fixed" : `in ${countdown(token.nextRebalanceTime - now)}`);
}

function drawCommands(token) {
  const wanted = isPublic || !hasToken() ? [] : ["rebalance", token.state === "active" ? "halt" : "resume"];
  if (shown.told === wanted.join()) return;
  shown.told = wanted.join();
  shown.commands.replaceChildren(...wanted.map((kind) => el("button", {
    type: "button", class: kind === "halt" ? "danger" : "",
    text: `${kind[0].toUpperCase()}${kind.slice(1)}\u2026`,
    on: { click: () => askCommand(desk.tokens.get(token.tokenName), kind) },
  })));
}

export async function refreshFund() {
  const asked = shown;
  if (!asked) return;
  const at = path(asked.name);
  const hidden = (promise) => (isPublic ? Promise.resolve(null) : promise());
  const [klines, runs, merges, paidOut, premiums, fees, decisions, basket, waits] = await Promise.all([
    read(`${at}/klines?interval=${asked.interval}&limit=${POINTS}`),
    read(`${at}/rebalances?limit=100`),
    list(`${at}/consolidations?limit=${ROWS}`, ROWS),
    list(`${at}/distributions?limit=${ROWS}`, ROWS),
    list(`${at}/premiums?limit=${ROWS}`, ROWS),
    hidden(() => read(`${at}/fees`)),
    hidden(() => list(`${at}/decisions?limit=${ROWS}`, ROWS)),
    hidden(() => read(`${at}/basket`)),
    hidden(() => read(`${at}/triggers`)),
  ]);
  const token = desk.tokens.get(asked.name);
  if (asked !== shown || !token) return;
  drawCharts(token, klines, runs.items);
  drawPremium(shown.premium, token, { klines, premiums, interval: asked.interval });
  drawParts(token, { runs: runs.items.slice(0, ROWS), merges, paidOut, premiums, fees, decisions, basket, waits });
}

function drawCharts(token, klines, runs) {
  const marks = runs.map((run) => ({ at: run.time, label: `rebalance (${run.trigger})` }));
  const column = (place) => klines.filter((row) => Number(row[place]) !== 0).map((row) => [row[6], Number(row[place])]);
  shown.navs.set({ marks, series: [
    { name: "NAV", tone: "account", points: column(4) },
    { name: "ideal", tone: "ideal", points: column(9) },
  ] });
  const levered = column(5).map(([at, value]) => [at, Math.abs(value)]);
  const [lower, upper] = bandOf(token);
  const target = Math.abs(Number(token.targetLeverage));
  shown.leverage.set({ marks, band: lower === null ? null : [lower, upper], series: [
    { name: "leverage", tone: "account", points: levered },
    { name: "target", tone: "ideal", step: true, points: levered.length ? [[levered[0][0], target], [levered.at(-1)[0], target]] : [] },
  ] });
}

function drawParts(token, { runs, merges, paidOut, premiums, fees, decisions, basket, waits }) {
  const parts = [];
  if (decisions?.length) {
    const [latest] = decisions;
    shown.why.replaceChildren(el("strong", { text: latest.trigger === "none" ? "Why it does not trade now: " : `Latest decision, ${latest.trigger}: ` }),
      sentence(latest.reason), el("span", { class: "when", text: ` (${moment(latest.time)})` }));
  }
  if (token.stateReason) parts.push(el("p", { class: "notice bad", text: `${token.state}: ${token.stateReason}` }));
  parts.push(part(basket ? positions(token, basket) : underlying(token), "wide"));
  const halves = waits ? [triggers(waits)] : [];
  if (fees) halves.push(paid(token, fees));
  if (premiums.length) halves.push(steps(premiums));
  if (merges.length) {
    halves.push(table("Merges and splits", ["Time", "Kind", "NAV", "Issued"], merges.map((one) =>
      [moment(one.time), one.kind === "split" ? `split 1:${one.ratio}` : `merge ${one.ratio}:1`,
        num(`${nav(one.navBefore)} \u2192 ${nav(one.navAfter)}`),
        num(`${fixed(one.issuedBefore, 2)} \u2192 ${fixed(one.issuedAfter, 2)}`)])));
  }
  if (paidOut.length) {
    halves.push(table("Paid out to holders", ["Time", "What", "Amount"], paidOut.map((one) =>
      [moment(one.time), one.kind, num(fixed(one.amount, 2))])));
  }
  // Two beside each other; where their number is odd the last has a row of its own.
  halves.forEach((node, place) => parts.push(part(node, place === halves.length - 1 && place % 2 === 0 ? "wide" : "")));
  parts.push(part(rebalances(runs), "wide"));
  const verdicts = decisions?.filter((one) => !decisions.some((other) => one.reason === `run: ${other.reason}`));
  if (verdicts?.length) {
    parts.push(part(table("Decisions", ["Time", "Verdict", "Why"], verdicts.slice(0, VERDICTS).map((one) =>
      [moment(one.time), one.trigger === "none" ? "no trade" : words(one.trigger), sentence(one.reason)])), "wide"));
  }
  shown.parts.replaceChildren(...parts);
}

const part = (node, kind = "") => el("div", { class: `part ${kind}` }, node);

// What a run traded, and what it paid: fees, and slippage against the marks that sized its orders.
function costs({ cost, slippage, tradedNotional: traded }) {
  if (slippage === null) return [num("\u2013"), num(fixed(cost, 2)), num("\u2013")];
  const bps = Number(traded) ? ` (${fixed(String((Number(slippage) / Number(traded)) * 10_000), 1)} bps)` : "";
  return [num(fixed(traded, 2)), num(fixed(String(Number(cost) - Number(slippage)), 2)), num(`${fixed(slippage, 2)}${bps}`)];
}

function rebalances(runs) {
  if (!runs.length) return nothing("Rebalances", "No rebalance yet.");
  const columns = ["Time", "Trigger", "Leverage", "NAV", ...(isPublic ? [] : ["Traded", "Fees", "Slippage"]), "Status", "Reason"];
  return table("Rebalances", columns, runs.map((run) => [
    moment(run.time), words(run.trigger),
    num(`${times(run.leverageBefore)} \u2192 ${times(run.leverageAfter)}`),
    num(`${nav(run.navBefore)} \u2192 ${nav(run.navAfter)}`),
    ...(isPublic ? [] : costs(run)), run.status, sentence(run.reason),
  ]));
}
