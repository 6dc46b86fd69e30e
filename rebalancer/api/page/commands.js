// Commands: only with a token that a person typed, and only after what it would do was shown.

import { command, hasToken, newKey, useToken } from "./api.js";
import { desk } from "./desk.js";
import { el, find, fixed, times, write } from "./format.js";

const SAYS = {
  halt: "No order of this fund leaves the desk from now on, until it is resumed. What it holds stays as it is.",
  resume: "The fund trades again by its rules; what fell due meanwhile may be traded at once.",
};
let asked = null;

export function setUpCommands(changed) {
  const dialog = find("token-dialog");
  find("operator").addEventListener("click", () => dialog.showModal());
  find("token-cancel").addEventListener("click", () => dialog.close());
  const use = (typed) => {
    useToken(typed);
    find("token").value = "";
    dialog.close();
    write(find("operator"), hasToken() ? "Operator token in use" : "Operator token");
    changed();
  };
  find("token-forget").addEventListener("click", () => use(""));
  find("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    use(find("token").value);
  });
  find("command-cancel").addEventListener("click", () => find("command-dialog").close());
  find("command-form").addEventListener("submit", (event) => {
    event.preventDefault();
    give(changed);
  });
}

const isLive = () => desk.status?.mode === "live";

// What the published figures say a rebalance would trade. The desk's own plan has lots and limits.
function estimate(token) {
  const equity = Number(token.equity);
  const drift = Number(token.targetLeverage) - Number(token.realLeverage);
  if (!token.equity || token.realLeverage === null) return "There is no price now, so nothing can be estimated.";
  const side = drift >= 0 ? "Buy" : "Sell";
  return `${side} about ${fixed(String(Math.abs(drift * equity)), 2)} of the underlying, in quote currency.`;
}

export function askCommand(token, kind) {
  asked = { token, kind, key: newKey() };
  const name = token.tokenName;
  write(find("command-title"), `${kind[0].toUpperCase()}${kind.slice(1)} ${name}`);
  const plan = [el("dl", { class: "plan" },
    el("dt", { text: "State" }), el("dd", { text: token.state }),
    el("dt", { text: "Leverage" }), el("dd", { text: kind === "rebalance"
      ? `${times(token.realLeverage)} \u2192 ${times(token.targetLeverage)}` : times(token.realLeverage) }))];
  if (kind === "rebalance") {
    plan.push(el("p", { text: estimate(token) }),
      el("p", { class: "small", text: "An estimate of this page. The desk plans with its lots, limits and prices, nets across funds, and may refuse; its answer shows the run." }));
  } else {
    plan.push(el("p", { text: SAYS[kind] }));
  }
  find("command-plan").replaceChildren(...plan);
  find("command-reason").value = "";
  find("command-typed").value = "";
  find("command-check").hidden = !isLive();
  write(find("command-name"), name);
  write(find("command-answer"), "");
  const go = find("command-go");
  write(go, `${kind[0].toUpperCase()}${kind.slice(1)} ${name}`);
  go.disabled = false;
  go.className = kind === "halt" ? "danger" : "";
  find("command-dialog").showModal();
}

async function give(changed) {
  const { token, kind, key } = asked;
  const say = (text) => write(find("command-answer"), text);
  if (isLive() && find("command-typed").value.trim() !== token.tokenName) {
    say(`Type ${token.tokenName} to confirm.`);
    return;
  }
  const go = find("command-go");
  go.disabled = true;
  say("Asking the desk\u2026");
  try {
    const answer = await command(token.tokenName, kind, find("command-reason").value, key);
    const deltas = Object.entries(answer.deltas).map(([symbol, units]) => `${units} ${symbol}`).join(", ");
    const run = answer.rebalanceId ? ` Run ${answer.rebalanceId} is open${deltas ? `: ${deltas}` : ""}.` : "";
    say(`Done: ${kind} of ${token.tokenName}.${run}`);
    changed();
  } catch (error) {
    say(`Not done: ${error.message}`);
    // Refused with a status: nothing happened, so the wish may be said anew. A lost answer keeps the key.
    if (error.status) asked.key = newKey();
    go.disabled = false;
  }
}
