// The desk's interface as the page uses it: reads, the stream, and commands.

export const isPublic = document.documentElement.dataset.listener === "public";
const LONGEST_PAUSE_MS = 10_000;
const HEARTBEATS_MISSED = 2.5;
let token = "";

export const hasToken = () => token !== "";
export function useToken(typed) {
  token = typed.trim();
}

const bearer = () => (token ? { authorization: `Bearer ${token}` } : {});
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function answerOf(response) {
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, problem.detail ?? `the desk answers ${response.status}`);
}

export const read = async (path) => answerOf(await fetch(`/api/v1/${path}`, { headers: bearer() }));

// Every item of a list, or as many as wanted; a page may be empty and still have one after it.
export async function list(path, wanted = Infinity) {
  const items = [];
  let cursor = null;
  for (let pages = 0; pages < 20 && items.length < wanted; pages += 1) {
    const joint = path.includes("?") ? "&" : "?";
    const page = await read(cursor ? `${path}${joint}cursor=${encodeURIComponent(cursor)}` : path);
    items.push(...page.items);
    cursor = page.nextCursor;
    if (!cursor) break;
  }
  return items.slice(0, wanted);
}

// What the desk does not rely on now, in its own words.
export async function failedChecks() {
  const response = await fetch("/readyz?verbose");
  if (response.ok) return [];
  const text = await response.text();
  return text.split("\n").filter((line) => line.startsWith("[-]")).map((line) => line.slice(3));
}

export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const post = async (path, body, headers = {}) => answerOf(await fetch(`/api/v1/${path}`, {
  method: "POST",
  headers: { ...bearer(), "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
}));

export const command = (name, kind, reason, key) =>
  post(`tokens/${encodeURIComponent(name)}/${kind}`, { reason }, { "idempotency-key": key });

export const makePlan = (name, reason) => post("plans", { tokens: [name], reason });

export const applyPlan = (plan, confirm, key) =>
  post(`plans/${plan.planId}/apply`, { confirm }, { "idempotency-key": key });

// Yields [id, event, data] of a body of server-sent events. EventSource would do the same, but it
// cannot carry a token, which a listener that other machines reach asks of every request.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    kept += value;
    for (let end = kept.indexOf("\n\n"); end >= 0; end = kept.indexOf("\n\n")) {
      const fields = {};
      for (const line of kept.slice(0, end).split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
      }
      kept = kept.slice(end + 2);
      if (fields.data) yield [fields.id, fields.event, JSON.parse(fields.data)];
    }
  }
}

// Follows the stream for ever. `take` gets each message; `say` hears live, lost and refused.
export async function follow(take, say) {
  let last = "";
  let pause = 500;
  for (;;) {
    const stop = new AbortController();
    let silence = 0;
    let patience = 40_000;
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), patience);
    };
    try {
      alive();
      const response = await fetch("/api/v1/events", {
        headers: last ? { ...bearer(), "last-event-id": last } : bearer(),
        signal: stop.signal,
        cache: "no-store",
      });
      if (!response.ok) await answerOf(response);
      for await (const [id, event, data] of events(response.body)) {
        if (event === "hello") {
          patience = data.heartbeatMs * HEARTBEATS_MISSED;
          pause = 500;
          say("live");
        }
        alive();
        if (id) last = id;
        take(event, data);
      }
      say("lost", "the desk ended the stream");
    } catch (error) {
      if (error.status === 401) say("refused", error.message);
      else say("lost", error.status ? error.message : "the desk does not answer");
    } finally {
      clearTimeout(silence);
      stop.abort();
    }
    await sleep(pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}
