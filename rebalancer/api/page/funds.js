// The table of funds. Rows are made once and changed in place; those out of sight are not laid out.

import { Gauge } from "./chart.js";
import { bandOf, dayChange, desk, deskNow, pointChange, stateOf } from "./desk.js";
import { ago, change, el, find, fixed, mark, nav, number, times, write } from "./format.js";
import { Spark } from "./spark.js";

const rows = new Map();
// More of them would be a task that is felt; the others follow, so many with each frame.
const ROWS_AT_ONCE = 10;
const WORDS = ["Fund", "Last day", "State", "Leverage"];

function columns() {
  const premium = [...desk.tokens.values()].some((token) => token.premiumStage);
  return ["Fund", "NAV", "Age", "Last day", "24 h", "Since rebalance", "Leverage", "Target",
    ...(premium ? ["Premium"] : []), "Issued", "State"];
}

function makeRow(name, names) {
  const [gauge, spark] = [new Gauge(), new Spark()];
  const leverage = el("span", { class: "figure" });
  const state = el("span", { class: "state" });
  const cells = {};
  const row = el("tr", { role: "row" }, ...names.map((column) => {
    const first = column === "Fund";
    cells[column] = el(first ? "th" : "td", {
      scope: first ? "row" : null, role: first ? "rowheader" : "cell", "data-label": column,
      class: WORDS.includes(column) ? "" : "num",
    });
    return cells[column];
  }));
  cells.Fund.append(el("a", { href: `#/fund/${encodeURIComponent(name)}`, text: name }));
  cells.Leverage.append(leverage, gauge.node);
  cells["Last day"].append(spark.node);
  cells.State.append(state);
  return { row, cells, gauge, spark, leverage, state };
}

function tell(cell, ratio) {
  const { text, tone } = change(ratio);
  write(cell, text);
  mark(cell, "class", `num ${tone}`);
}

function update({ row, cells, gauge, spark, leverage, state }, token) {
  const age = token.navTime === null ? null : deskNow() - token.navTime;
  write(cells.NAV, nav(token.nav));
  write(cells.Age, age === null ? "\u2013" : ago(age));
  mark(cells.Age, "class", token.navState === "STALE" ? "num warn" : "num");
  spark.set(desk.day.get(token.tokenName) ?? []);
  tell(cells["24 h"], dayChange(token));
  tell(cells["Since rebalance"], pointChange(token));
  write(leverage, times(token.realLeverage));
  const outside = gauge.set(number(token.realLeverage), Number(token.targetLeverage), ...bandOf(token));
  mark(leverage, "class", outside ? "figure bad" : "figure");
  write(cells.Target, times(token.targetLeverage));
  if (cells.Premium) {
    write(cells.Premium, change(token.premiumStage ? number(token.premium) : null).text);
    mark(cells.Premium, "class", ["warn", "halt"].includes(token.premiumStage) ? "num warn" : "num");
  }
  write(cells.Issued, fixed(token.tokenIssued, 2));
  const [word, tone] = stateOf(token);
  write(state, word);
  mark(state, "class", `state ${tone}`);
  mark(state, "title", token.stateReason);
  mark(row, "data-tone", tone);
}

export function drawFunds() {
  const table = find("fund-table");
  const names = columns();
  const shown = `${names.join()}|${[...desk.tokens.keys()].join()}`;
  if (table.dataset.shown !== shown) {
    rows.clear();
    table.setAttribute("role", "table");
    table.classList.toggle("watched", names.includes("Premium"));
    table.tHead.setAttribute("role", "rowgroup");
    table.tBodies[0].setAttribute("role", "rowgroup");
    const numeric = (name) => (WORDS.includes(name) ? "" : "num");
    table.tHead.replaceChildren(el("tr", { role: "row" }, ...names.map((name) =>
      el("th", { scope: "col", role: "columnheader", text: name, class: numeric(name) }))));
    table.tBodies[0].replaceChildren();
    table.dataset.shown = shown;
    addRows(table, names);
  }
  for (const [name, made] of rows) update(made, desk.tokens.get(name));
}

function addRows(table, names) {
  const { shown } = table.dataset;
  const missing = [...desk.tokens.keys()].filter((name) => !rows.has(name));
  for (const name of missing.slice(0, ROWS_AT_ONCE)) {
    const made = makeRow(name, names);
    rows.set(name, made);
    update(made, desk.tokens.get(name));
    table.tBodies[0].append(made.row);
  }
  if (missing.length <= ROWS_AT_ONCE) return;
  requestAnimationFrame(() => { if (table.dataset.shown === shown) addRows(table, names); });
}
