// A line as small as a word: where the NAV went in the last day. The number beside it says the rest.

import { svg } from "./format.js";

const [WIDTH, HEIGHT, EDGE] = [120, 26, 2];

export class Spark {
  constructor() {
    this.line = svg("path", { class: "spark-line" });
    this.end = svg("circle", { class: "spark-end", r: 2.4 });
    this.node = svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" },
      this.line, this.end);
  }

  // points: [[ms, value]], oldest first; fewer than three say nothing and draw nothing.
  set(points) {
    const told = points.length < 3 ? "" : points.join(";");
    if (told === this.told) return;
    this.told = told;
    this.node.setAttribute("visibility", told ? "visible" : "hidden");
    if (!told) return;
    const values = points.map(([, value]) => value);
    const [low, high, first, last] = [Math.min(...values), Math.max(...values), points[0][0], points.at(-1)[0]];
    const x = (at) => EDGE + ((at - first) / (last - first)) * (WIDTH - 3 * EDGE);
    const y = (value) => HEIGHT - EDGE - ((value - low) / (high - low || 1)) * (HEIGHT - 2 * EDGE);
    const place = ([at, value]) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    this.line.setAttribute("d", `M${points.map(place).join("L")}`);
    this.end.setAttribute("cx", x(last).toFixed(1));
    this.end.setAttribute("cy", y(values.at(-1)).toFixed(1));
  }
}
