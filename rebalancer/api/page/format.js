// Numbers, times and nodes. Decimals come as text and are shown rounded; nothing here is computed on.

const SVG = "http://www.w3.org/2000/svg";
const NONE = "\u2013";
const MINUS = "\u2212";

export const number = (text) => (text === null || text === undefined || text === "" ? null : Number(text));

// By hand: an Intl.NumberFormat for each count of places is most of what loading the page takes.
function digits(value, places) {
  const [whole, part] = Math.abs(value).toFixed(places).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part ? `${grouped}.${part}` : grouped;
}

export function fixed(text, places) {
  const value = number(text);
  if (value === null || !Number.isFinite(value)) return NONE;
  const shown = digits(value, places);
  return (value < 0 && Number(shown.replace(/,/g, "")) !== 0 ? MINUS : "") + shown;
}

export function nav(text) {
  const size = Math.abs(number(text) ?? 0);
  return fixed(text, size >= 1000 ? 2 : size >= 1 ? 4 : 6);
}

// Of a contract: at least five significant digits, however small.
export function price(text) {
  const size = Math.abs(number(text) ?? 0);
  if (size >= 1000 || size === 0) return fixed(text, 2);
  return fixed(text, size >= 1 ? 4 : Math.min(12, 4 - Math.floor(Math.log10(size))));
}

export const times = (text) => (number(text) === null ? NONE : `${fixed(text, 2)}\u00d7`);

// Says up or down by a glyph as well as by colour.
export function change(ratio) {
  if (ratio === null || !Number.isFinite(ratio)) return { text: NONE, tone: "" };
  const percent = ratio * 100;
  const shown = digits(percent, 2);
  if (Number(shown) === 0) return { text: "0.00 %", tone: "" };
  return percent > 0
    ? { text: `\u25b2 ${shown} %`, tone: "up" }
    : { text: `\u25bc ${shown} %`, tone: "down" };
}

export function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export function countdown(ms) {
  const left = Math.max(0, Math.floor(ms / 1000));
  const two = (part) => String(part).padStart(2, "0");
  const days = Math.floor(left / 86400);
  const clock = `${two(Math.floor(left / 3600) % 24)}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`;
  return days ? `${days} d ${clock}` : clock;
}

export const words = (name) => name.replaceAll("_", " ");

// The instants in a sentence of the desk as the rest of the page writes them.
export const sentence = (text) => text.replace(/\d{4}-(\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?Z/g, "$1 $2 UTC");

const iso = (ms) => new Date(ms).toISOString();
export const moment = (ms) => (ms ? iso(ms).slice(5, 16).replace("T", " ") : NONE);
export const second = (ms) => `${iso(ms).slice(0, 19).replace("T", " ")} UTC`;
export const minute = (ms) => iso(ms).slice(11, 16);
export const day = (ms) => iso(ms).slice(5, 10);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name === "on") for (const [kind, act] of Object.entries(value)) node.addEventListener(kind, act);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const el = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);
export const find = (id) => document.getElementById(id);

// Touches the document only where something changed: a tick of sixty funds stays cheap.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// What stands in the place of a table that has no rows.
export const nothing = (title, text) => el("div", {}, el("h3", { text: title }), el("p", { class: "none", text }));

// A table that names its columns in each cell, so that it can stand as cards on a phone. The roles
// are said once more because a table laid out as blocks loses them in some browsers.
export function table(caption, columns, rows) {
  const head = el("tr", { role: "row" },
    ...columns.map((name, place) => el("th", {
      scope: "col", role: "columnheader", text: name, class: rows[0]?.[place]?.class,
    })));
  const body = rows.map((cells) => el("tr", { role: "row" },
    ...cells.map((cell, place) => {
      const given = typeof cell === "object" && cell !== null && !(cell instanceof Node) ? cell : { text: cell };
      const node = el(place ? "td" : "th", {
        role: place ? "cell" : "rowheader", scope: place ? null : "row",
        "data-label": columns[place], class: given.class,
      });
      node.append(cell instanceof Node ? cell : given.text ?? "");
      return node;
    })));
  return el("table", { class: "cards", role: "table" },
    el("caption", { text: caption }),
    el("thead", { role: "rowgroup" }, head), el("tbody", { role: "rowgroup" }, ...body));
}
