// Charts of our own, as SVG: lines, steps, a band, marks at rebalances, and a cross-hair that
// follows the pointer, a finger or the arrow keys.

import { day, el, fixed, minute, moment, svg, write } from "./format.js";

const HEIGHT = 230;
const EDGE = { top: 12, right: 12, bottom: 24, left: 58 };
const DAY_MS = 86_400_000;
const HALF_LETTER = 3.4;
const TIME_STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 5760, 14400, 43200]
  .map((minutes) => minutes * 60_000);

// Round steps (1, 2 or 5 of a power of ten) that give about `count` of them.
function valueTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) ticks.push(value);
  return { ticks, places: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function timeTicks(first, last, width) {
  const step = TIME_STEPS_MS.find((each) => ((last - first) / each) * 84 <= width) ?? TIME_STEPS_MS.at(-1);
  const ticks = [];
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) ticks.push(at);
  return ticks;
}

// Where a value is null nothing is known, and nothing is drawn: a point between two gaps is a dot.
function path(points, x, y, step) {
  let drawn = "";
  let known = false;
  for (const [at, value] of points) {
    const [px, py] = [x(at).toFixed(1), value === null ? "" : y(value).toFixed(1)];
    if (value !== null) drawn += !known ? `M${px} ${py}h0` : step ? `H${px}V${py}` : `L${px} ${py}`;
    known = value !== null;
  }
  return drawn;
}

export class Chart {
  // series: [{name, tone, points: [[ms, value or null]], step}]; band: [low, high]; marks: [{at, label}];
  // markWord: what the marks are; nothing: why there is no line; note: of the values at a point
  constructor(title, show) {
    this.show = show;
    this.data = { series: [], marks: [] };
    this.place = null;
    this.plot = el("div", {
      class: "plot", tabindex: "0", role: "slider", "aria-label": `${title}, read point by point`,
      "aria-valuemin": "0", "aria-valuemax": "0", "aria-valuenow": "0", "aria-valuetext": "nothing yet",
      on: {
        pointermove: (event) => this.point(event.clientX),
        pointerdown: (event) => this.point(event.clientX),
        pointerleave: () => this.leave(),
        blur: () => this.leave(),
        keydown: (event) => this.key(event),
      },
    });
    this.legend = el("p", { class: "legend" });
    this.readout = el("p", { class: "readout" });
    this.node = el("figure", { class: "chart" },
      el("figcaption", {}, el("h3", { text: title }), this.legend, this.readout), this.plot);
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  set(data) {
    this.data = data;
    this.legend.replaceChildren(...data.series.map((one) =>
      el("span", { class: `key ${one.tone}`, text: one.name })),
      ...(data.band ? [el("span", { class: "key band", text: "band" })] : []),
      ...(data.marks.length && !data.nothing ? [el("span", { class: "key mark", text: data.markWord ?? "rebalance" })] : []));
    this.draw();
  }

  get times() {
    return this.data.series[0]?.points.map(([at]) => at) ?? [];
  }

  draw() {
    const width = this.plot.clientWidth;
    const drawn = this.data.series.filter((one) => one.points.length);
    if (!width) return;
    const empty = !drawn.length || this.times.length < 2;
    this.node.classList.toggle("empty", empty);
    if (empty) {
      this.plot.replaceChildren(el("p", { class: "none", text: this.data.nothing || "Not enough points yet." }));
      write(this.readout, "");
      return;
    }
    const scale = this.scale(drawn, width);
    this.cross = svg("g", { class: "cross" });
    this.plot.replaceChildren(svg("svg", {
      viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, "aria-hidden": "true", focusable: "false",
    }, ...this.grid(scale, width), ...this.shapes(drawn, scale), this.cross));
    this.plot.setAttribute("aria-valuemax", String(this.times.length - 1));
    this.read();
  }

  scale(drawn, width) {
    const values = drawn.flatMap((one) => one.points.map(([, value]) => value)).filter((value) => value !== null).concat(this.data.band ?? []);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const room = (high - low) * 0.08 || Math.abs(high) * 0.01 || 1;
    [low, high] = [low - room, high + room];
    const [first, last] = [this.times[0], this.times.at(-1)];
    return {
      low, high, first, last,
      x: (at) => EDGE.left + ((at - first) / (last - first)) * (width - EDGE.left - EDGE.right),
      y: (value) => HEIGHT - EDGE.bottom - ((value - low) / (high - low)) * (HEIGHT - EDGE.top - EDGE.bottom),
    };
  }

  grid({ low, high, first, last, x, y }, width) {
    const { ticks, places } = valueTicks(low, high, 5);
    const times = timeTicks(first, last, width - EDGE.left - EDGE.right);
    const whole = times.every((at) => at % DAY_MS === 0);
    const label = whole ? day : last - first > DAY_MS ? moment : minute;
    // A label that would be cut off at the edge is left out.
    const shown = times.filter((at) => x(at) + label(at).length * HALF_LETTER <= width);
    this.scaled = { x, y };
    return [
      ...ticks.flatMap((value) => [
        svg("line", { class: "rule", x1: EDGE.left, x2: width - EDGE.right, y1: y(value), y2: y(value) }),
        svg("text", { class: "tick", x: EDGE.left - 8, y: y(value) + 4, "text-anchor": "end",
          text: fixed(String(value), places) }),
      ]),
      ...shown.map((at) =>
        svg("text", { class: "tick", x: x(at), y: HEIGHT - 6, "text-anchor": "middle", text: label(at) })),
    ];
  }

  shapes(drawn, { first, last, x, y }) {
    const { band, marks } = this.data;
    const made = [];
    if (band) {
      made.push(svg("rect", { class: "band", x: x(first), width: x(last) - x(first),
        y: y(band[1]), height: y(band[0]) - y(band[1]) }));
    }
    for (const { at } of marks.filter((one) => one.at >= first && one.at <= last)) {
      made.push(svg("line", { class: "mark", x1: x(at), x2: x(at), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }));
      made.push(svg("path", { class: "flag", d: `M${x(at) - 4} ${EDGE.top - 6}h8l-4 7z` }));
    }
    for (const one of drawn) made.push(svg("path", { class: `line ${one.tone}`, d: path(one.points, x, y, one.step) }));
    return made;
  }

  point(clientX) {
    const times = this.times;
    if (times.length < 2 || !this.scaled) return;
    const within = clientX - this.plot.getBoundingClientRect().left;
    let nearest = 0;
    times.forEach((at, place) => {
      if (Math.abs(this.scaled.x(at) - within) < Math.abs(this.scaled.x(times[nearest]) - within)) nearest = place;
    });
    this.place = nearest;
    this.read();
  }

  key(event) {
    const last = this.times.length - 1;
    const now = this.place ?? last;
    const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1,
      PageDown: now - 10, PageUp: now + 10, Home: 0, End: last }[event.key];
    if (to === undefined || last < 1) return;
    event.preventDefault();
    this.place = Math.min(last, Math.max(0, to));
    this.read();
  }

  leave() {
    this.place = null;
    this.read();
  }

  read() {
    const { series, marks } = this.data;
    const place = Math.min(this.place ?? this.times.length - 1, this.times.length - 1);
    if (place < 0) return;
    const at = this.times[place];
    const told = series.map((one) => [one, one.points.findLast(([each]) => each <= at)]).filter(([, point]) => point && point[1] !== null);
    const step = place ? at - this.times[place - 1] : 0;
    const near = marks.filter((one) => one.at <= at && one.at > at - step).map((one) => one.label);
    const note = this.data.note?.(series.map((one) => told.find(([each]) => each === one)?.[1][1]));
    const text = [`${moment(at)} UTC`, ...told.map(([one, point]) => `${one.name} ${this.show(point[1])}`),
      ...(note ? [note] : []), ...near].join("  \u00b7  ");
    write(this.readout, text);
    this.plot.setAttribute("aria-valuenow", String(place));
    this.plot.setAttribute("aria-valuetext", text);
    this.cross?.replaceChildren(...(this.place === null ? [] : [
      svg("line", { x1: this.scaled.x(at), x2: this.scaled.x(at), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }),
      ...told.map(([one, point]) => svg("circle", { class: one.tone, cx: this.scaled.x(at), cy: this.scaled.y(point[1]), r: 4 })),
    ]));
  }
}

// Leverage between 40 % under and 40 % over its target, or its band, as a small picture.
export class Gauge {
  constructor() {
    this.band = svg("rect", { class: "gauge-band", y: 4, height: 6, rx: 3 });
    this.target = svg("line", { class: "gauge-target", y1: 1, y2: 13 });
    this.dot = svg("circle", { class: "gauge-dot", cy: 7, r: 4 });
    this.node = svg("svg", { class: "gauge", viewBox: "0 0 100 14", role: "img", "aria-label": "" },
      svg("line", { class: "gauge-rail", x1: 0, x2: 100, y1: 7, y2: 7 }), this.band, this.target, this.dot);
  }

  set(leverage, target, lower, upper) {
    const size = Math.abs(target);
    const [from, to] = [Math.min(size * 0.6, lower ?? Infinity), Math.max(size * 1.4, upper ?? 0)];
    const x = (value) => 4 + 92 * Math.min(1, Math.max(0, (value - from) / (to - from)));
    const now = leverage === null ? null : Math.abs(leverage);
    const put = (node, name, value) => node.setAttribute(name, String(value));
    const outside = now !== null && lower !== null && (now < lower || now > upper);
    put(this.band, "visibility", lower === null ? "hidden" : "visible");
    put(this.band, "x", x(lower ?? from));
    put(this.band, "width", x(upper ?? to) - x(lower ?? from));
    put(this.target, "x1", x(size));
    put(this.target, "x2", x(size));
    put(this.dot, "visibility", now === null ? "hidden" : "visible");
    put(this.dot, "cx", x(now ?? size));
    put(this.dot, "class", outside ? "gauge-dot out" : "gauge-dot");
    const band = lower === null ? "no band" : `band ${lower} to ${upper}`;
    const label = now === null ? "no leverage" : `leverage ${now.toFixed(2)}, target ${size}, ${band}${outside ? ", outside" : ""}`;
    put(this.node, "aria-label", label);
    return outside;
  }
}
