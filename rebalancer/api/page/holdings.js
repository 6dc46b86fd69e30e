// What a fund holds, what it paid, and the prices that its rules wait for.

import { change, el, fixed, nothing, number, price, table, times, words } from "./format.js";

export const num = (text) => ({ text, class: "num" });

// How far all prices may go before equity is the maintenance margin, in words.
function distance(move) {
  if (move === null) return "no move leads there";
  return change(Number(move)).text;
}

const facts = (entries) => el("dl", { class: "figures inset" }, ...entries.map(([name, text]) =>
  el("div", {}, el("dt", { text: name }), el("dd", { text }))));

// The basket as it should be and as it is held: one row for each contract of either.
export function positions(token, { positions: held, margin }) {
  const share = (value) => (value == null || !number(token.equity) ? "\u2013" : times(String(Number(value) / Number(token.equity))));
  const weights = new Map(token.underlying.map((one) => [one.symbol, one.weight]));
  const bySymbol = new Map(held.map((one) => [one.symbol, one]));
  const columns = ["Contract", "Weight", "At last rebalance", "Mark", "Amount", "Value", "Of equity", "Margin", "Liquidation at"];
  const rows = [...new Set([...weights.keys(), ...bySymbol.keys()])].map((symbol) => {
    const one = bySymbol.get(symbol) ?? {};
    return [symbol, num(fixed(weights.get(symbol), 4)), num(price(token.lastRebalance?.prices[symbol])), num(price(one.mark)),
      num(fixed(one.amount, 4)), num(fixed(one.notionalValue, 2)), num(share(one.notionalValue)),
      num(fixed(one.maintenanceMargin, 2)), num(price(one.liquidationPrice))];
  });
  const ratio = margin?.marginRatio == null ? "" : `, ${fixed(String(Number(margin.marginRatio) * 100), 1)} % of equity`;
  const footing = margin === null || !held.length ? [] : [
    ["Equity", fixed(margin.equity, 2)],
    ["Maintenance margin", `${fixed(margin.maintenanceMargin, 2)}${ratio}`],
    ["To liquidation, this fund", distance(margin.liquidationMove)],
    [`To liquidation, account ${margin.account}`, distance(margin.accountLiquidationMove)],
  ];
  return el("div", {}, table("Positions", columns, rows), footing.length ? facts(footing) : null);
}

export function underlying(token) {
  return table("Underlying", ["Contract", "Weight", "Price at the last rebalance"], token.underlying.map((one) =>
    [one.symbol, num(fixed(one.weight, 4)), num(price(token.lastRebalance?.prices[one.symbol]))]));
}

export function paid(token, fees) {
  const rate = `${fixed(String(Number(token.dailyManagementFee) * 100), 3)} % a day`;
  return el("div", {}, el("h3", { text: "Paid so far, in quote currency" }), facts([
    ["Trading fees", fixed(fees.tradingFees, 2)], ["Slippage", fixed(fees.slippage, 2)], ["Funding", fixed(fees.funding, 2)],
    [`Management fee, ${rate}`, fixed(fees.managementFee, 2)],
    ["Management fee, accrued", fixed(fees.accruedManagementFee, 2)],
    ["Funding, accrued", fixed(fees.accruedFunding, 2)], ["Financing", fixed(fees.financing, 2)]]));
}

// The prices at which each rule fires, the nearest first: either NAV can end a fund, and the nearer does.
export function triggers({ items }) {
  const rows = new Map();
  for (const { trigger, source, fires, prices, move } of items) {
    const at = Object.entries(prices).map(([symbol, value]) => `${symbol} ${fires} ${price(value)}`).join(", ");
    const told = [words(trigger), `${source} of ${at}`, num(change(Number(move)).text)];
    const rule = JSON.stringify([trigger, source, fires, Object.keys(prices)]);
    if (!rows.has(rule)) rows.set(rule, told);
  }
  if (!rows.size) {
    return nothing("Trigger prices", "No price is known at which a rule fires.");
  }
  return table("Trigger prices", ["Rule", "Fires when", "From now"], [...rows.values()]);
}
