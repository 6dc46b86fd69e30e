// What the token costs on its secondary market, against what it is worth.

import { change, fixed, moment, nav, table } from "./format.js";
import { num } from "./holdings.js";

const STAGES = { none: "released", warn: "warn", halt: "halt, no flows" };

// Says why there is no line to draw; empty where there is one.
function missing(token, points, interval) {
  if (!token.market) return "No market price: no secondary market of this token is watched.";
  if (points.length > 1) return "";
  if (interval === "1d") return "No market price at daily points; choose shorter ones.";
  const why = token.marketProblem ? `: ${token.marketProblem}` : token.marketPrice === null ? ": there is no live quote" : " yet";
  return `No market price of ${token.market}${why}.`;
}

// The candles hold both from the start of the desk on; the records hold both at each change of stage.
export function drawPremium(chart, token, { klines, premiums, interval }) {
  const known = klines.filter((row) => Number(row[4]) !== 0);
  const first = known[0]?.[6] ?? 0;
  const changed = premiums.filter((one) => one.time >= first).reverse();
  const points = [
    ...known.map((row) => [row[6], Number(row[10]) || null]),
    ...changed.map((one) => [one.time, Number(one.marketPrice)]),
  ].sort(([one], [other]) => one - other);
  const nothing = missing(token, points.filter(([, price]) => price !== null), interval);
  chart.set({
    nothing,
    marks: changed.map((one) => ({ at: one.time, label: `premium: ${STAGES[one.stage] ?? one.stage}` })),
    markWord: "stage changes",
    series: nothing ? [] : [
      { name: "NAV", tone: "account", points: known.map((row) => [row[6], Number(row[4])]) },
      { name: "market", tone: "market", points },
    ],
    note: ([worth, market]) => (worth && market ? `premium ${change(market / worth - 1).text}` : "no market price"),
  });
}

export function steps(premiums) {
  return table("Premium, each change of its stage", ["Time", "Stage", "Market price", "NAV", "Premium"], premiums.map((one) =>
    [moment(one.time), STAGES[one.stage] ?? one.stage, num(nav(one.marketPrice)), num(nav(one.nav)),
      num(`${fixed(String(Number(one.premium) * 100), 2)} %`)]));
}
