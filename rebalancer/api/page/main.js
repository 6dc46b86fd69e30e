// Starts the page: the header, the way between views, and what each message changes.

import { follow, hasToken } from "./api.js";
import { setUpCommands } from "./commands.js";
import { desk, deskNow, forgetPace, hear, isPublic, load, loadDay, nextFixed, pace, silentFor, takeNav } from "./desk.js";
import { drawAlerts, drawFeed, loadAlerts, loadFeed, takeEvent } from "./feed.js";
import { ago, countdown, find, mark, second, write } from "./format.js";
import { closeFund, drawFund, openFund, refreshFund } from "./fund.js";
import { drawFunds } from "./funds.js";

const MODES = { paper: "PAPER", "dry-run": "DRY RUN", live: "LIVE" };
const QUIET_MS = 20_000;
const RELOAD_MS = 10_000;
const SOON_MS = 400;
let reloading = 0;
let view = null;

function route() {
  const [, name] = /^#\/fund\/(.+)$/.exec(location.hash) ?? [];
  const chosen = name ? decodeURIComponent(name) : "";
  if (view === chosen || !desk.status) return;
  const moved = view !== null;
  view = chosen;
  find("funds").hidden = chosen !== "";
  find("fund").hidden = chosen === "";
  document.title = chosen ? `${chosen} \u00b7 rebalancer` : "rebalancer";
  if (chosen) openFund(chosen);
  else closeFund();
  draw();
  if (moved) window.scrollTo(0, 0);
}

function drawHeader() {
  const { status } = desk;
  const now = deskNow();
  if (!status || now === null) return;
  write(find("mode"), MODES[status.mode] ?? status.mode.toUpperCase());
  mark(document.documentElement, "data-mode", status.mode);
  const next = nextFixed();
  write(find("next-label"), next ? `Next rebalance, ${next.tokenName}, in` : "Next rebalance");
  write(find("next"), next ? countdown(next.nextRebalanceTime - now) : "none fixed");
  write(find("clock"), second(now));
  write(find("pace"), pace() > 1 ? `simulated, \u00d7${pace()}` : "");
  write(find("version"), `rebalancer ${status.version}`);
}

function drawLink() {
  const silence = silentFor();
  const quiet = desk.link === "live" && silence > QUIET_MS;
  const word = quiet ? "silent" : desk.link;
  mark(find("link"), "data-link", word);
  write(find("link"), { live: "live", lost: "reconnecting", refused: "locked", silent: "silent" }[word] ?? word);
  const stale = find("stale");
  stale.hidden = word === "live" || word === "connecting";
  document.body.classList.toggle("frozen", !stale.hidden && desk.status !== null);
  const what = desk.status === null ? "" : ` The numbers below are ${ago(silence)} old.`;
  write(stale, { refused: `${desk.linkWhy}: type one under Operator token.`,
    silent: `No message from the desk.${what}` }[word] ?? `Not connected: ${desk.linkWhy}.${what}`);
}

function draw() {
  drawHeader();
  drawLink();
  if (!desk.status) return;
  if (view) drawFund();
  else drawFunds();
  drawAlerts();
}

async function reload() {
  clearTimeout(reloading);
  reloading = 0;
  try {
    await load();
    route();
    draw();
    await Promise.all([loadAlerts(), refreshFund()]);
  } catch (error) {
    if (error.status === 401) Object.assign(desk, { link: "refused", linkWhy: error.message });
    drawLink();
  }
}

const soon = () => { reloading ||= setTimeout(reload, SOON_MS); };

async function dayAgo() {
  for (const name of desk.tokens.keys()) await loadDay(name).catch(() => {});
}

function take(kind, data) {
  if (data.E) hear(data.E);
  if (kind === "tokenNavs") {
    if (data.length) hear(data[0].E);
    data.forEach(takeNav);
    draw();
  } else if (kind === "dropped") {
    desk.linkWhy = data.r;
  } else if (["rebalance", "state", "premium", "decision", "strike", "consolidation", "alert"].includes(kind)) {
    takeEvent(data);
    if (kind !== "decision") soon();
  }
}

async function say(link, why = "") {
  const before = desk.link;
  Object.assign(desk, { link, linkWhy: why });
  drawLink();
  if (link === "live" && before !== "live") {
    forgetPace();
    await reload();
    await Promise.all([loadFeed(), dayAgo()]).catch(() => {});
    draw();
  }
}

if (isPublic) for (const id of ["operator", "why-label", "token-dialog", "command-dialog"]) find(id).remove();
else setUpCommands(() => { if (hasToken() && !desk.status) reload(); else soon(); });
if (!isPublic) find("why").addEventListener("change", drawFeed);
window.addEventListener("hashchange", route);
setInterval(draw, 1000);
setInterval(() => { if (desk.link === "live") reload(); }, RELOAD_MS);
setInterval(() => { if (desk.link === "live") dayAgo(); }, 60_000);
follow(take, say);
