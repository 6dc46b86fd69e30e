// Commands: only with a token that a person typed, and only after what they would do was shown. A
// rebalance is planned by the desk itself first, and what is applied is exactly that plan.

import { applyPlan, command, hasToken, makePlan, newKey, useToken } from "./api.js";
import { desk } from "./desk.js";
import { change, countdown, el, find, fixed, times, write } from "./format.js";

const SAYS = {
  rebalance: "The desk first shows what it would do. Nothing is sent before you agree to exactly that.",
  halt: "No order of this fund leaves the desk from now on, until it is resumed. What it holds stays as it is.",
  resume: "The fund trades again by its rules; what fell due meanwhile may be traded at once.",
};
let asked = null;
let ticking = 0;

const title = (kind) => `${kind[0].toUpperCase()}${kind.slice(1)}`;
const say = (text) => write(find("command-answer"), text);
const isLive = () => desk.status?.mode === "live";

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
  find("command-dialog").addEventListener("close", () => clearInterval(ticking));
  find("command-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(changed);
  });
}

export function askCommand(token, kind) {
  asked = { name: token.tokenName, kind, key: newKey(), plan: null };
  write(find("command-title"), `${title(kind)} ${asked.name}`);
  find("command-plan").replaceChildren(el("dl", { class: "plan" },
    el("dt", { text: "State" }), el("dd", { text: token.state }),
    el("dt", { text: "Leverage" }), el("dd", { text: times(token.realLeverage) })),
  el("p", { text: SAYS[kind] }));
  find("command-reason").value = "";
  find("command-reason").disabled = false;
  say("");
  offer(kind === "rebalance" ? "Show the plan" : `${title(kind)} ${asked.name}`, isLive() && kind !== "rebalance");
  find("command-dialog").showModal();
}

// What the button says, and whether the name has to be typed before it counts.
function offer(words, named) {
  const go = find("command-go");
  write(go, words);
  go.disabled = false;
  go.className = asked.kind === "halt" ? "danger" : "";
  find("command-check").hidden = !named;
  find("command-typed").value = "";
  write(find("command-name"), asked.name);
}

async function submit(changed) {
  if (!find("command-check").hidden && find("command-typed").value.trim() !== asked.name) {
    say(`Type ${asked.name} to confirm.`);
    return;
  }
  const go = find("command-go");
  // Meanwhile the dialog may be closed and opened about something else.
  const wish = asked;
  const { name, kind, plan } = wish;
  go.disabled = true;
  say("Asking the desk\u2026");
  try {
    if (kind !== "rebalance") {
      await command(name, kind, find("command-reason").value, wish.key);
      say(`Done: ${kind} of ${name}.`);
      changed();
    } else if (plan === null) {
      const made = await makePlan(name, find("command-reason").value);
      if (asked === wish) showPlan(made);
    } else {
      const { runs } = await applyPlan(plan, isLive() ? plan.apply : [], wish.key);
      if (asked === wish) clearInterval(ticking);
      say(runs.length ? `Done: run ${runs.map((run) => run.rebalanceId).join(", ")} is open.` : "The desk opened no run.");
      changed();
    }
  } catch (error) {
    say(`Not done: ${kind} of ${name}: ${error.message}`);
    if (asked !== wish) return;
    // Refused with a status: nothing happened, so the wish may be said anew. A lost answer keeps the key.
    if (error.status) wish.key = newKey();
    if (plan !== null && error.status) {
      wish.plan = null;
      offer("Show a new plan", false);
    }
    go.disabled = false;
  }
}

// "12.30 (4.0 bps)", or that nobody can say.
const costly = (amount, bps) => (amount === null ? "not known" : `${fixed(amount, 2)} (${fixed(bps, 1)} bps)`);

function costs({ contract, fee, feeBps, slippage, slippageBps, toldBy }) {
  return [[`Fee, ${contract}`, costly(fee, feeBps)],
    [`Slippage, ${contract}`, `${costly(slippage, slippageBps)}${toldBy ? `, by ${toldBy}` : ""}`]];
}

function after({ account, equity, initialMargin, maintenanceMargin, liquidationMove }) {
  const share = Number(equity) > 0 ? `, ${fixed(String((Number(initialMargin) / Number(equity)) * 100), 1)} % of ${fixed(equity, 2)} equity` : "";
  return [[`Margin of ${account} after it`, `${fixed(initialMargin, 2)} initial${share}; ${fixed(maintenanceMargin, 2)} maintenance`],
    [`Liquidation of ${account} at`, liquidationMove === null ? "no price" : `all prices ${change(Number(liquidationMove)).text}`]];
}

function showPlan(made) {
  const { plan } = made;
  const fund = plan.funds[asked.name];
  const facts = [["Leverage", `${times(fund?.leverage)} \u2192 ${times(fund?.after?.leverage ?? fund?.target_leverage)}`],
    ["Its rules say", fund?.rules_say ?? "\u2013"]];
  for (const trade of plan.trades) {
    facts.push([`${title(trade.side)} on ${trade.account}`, `${fixed(trade.units, 4)} ${trade.contract}, ${fixed(trade.notional, 2)} at ${fixed(trade.mark, 2)}`]);
  }
  if (plan.orders.length) facts.push(["First orders", plan.orders.map((one) => `${one.side} ${one.contracts}`).join(", ")]);
  facts.push(...made.costs.flatMap(costs), ...made.accounts.flatMap(after));
  const left = el("dd");
  const show = () => {
    const ms = made.expires - Date.now();
    write(left, ms > 0 ? countdown(ms) : "over: make a new plan");
  };
  show();
  clearInterval(ticking);
  if (desk.status.mode === "live") ticking = setInterval(show, 1000);
  find("command-plan").replaceChildren(el("dl", { class: "plan" },
    ...facts.flatMap(([name, text]) => [el("dt", { text: name }), el("dd", { text })]),
    ...(desk.status.mode === "live" ? [el("dt", { text: "Good for" }), left] : [])));
  if (!made.apply.includes(asked.name)) {
    say(`Nothing to apply: ${fund?.reason ?? plan.not_valued?.[asked.name] ?? "it is at its target"}.`);
    offer("Show a new plan", false);
    return;
  }
  asked.plan = made;
  find("command-reason").disabled = true;
  say("");
  offer(`Rebalance ${asked.name}`, isLive());
}
