/* Values: a recorded array as a table of its numbers; or, of many, as a heat map and a histogram. */

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function drawn(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Four digits, as few as it takes; text such as "nan" as it is. */
function short(number) {
  return typeof number === "number" ? String(Number(number.toPrecision(4))) : number;
}

/** The axes of a recorded array, from its spec: [30, 10] of "f64[30, 10]". */
function axes(value) {
  return (value.spec.match(/\[(.*)\]/)[1].match(/\d+/g) || []).map(Number);
}

const NOT_FINITE = "magenta";

/** Between -1 and 1: how much of the largest magnitude, for colours. */
function share(number, value) {
  return typeof number === "number" ? number / (Math.max(Math.abs(value.low), Math.abs(value.high)) || 1) : 0;
}

function colour(part) {
  const style = getComputedStyle(document.documentElement);
  const ends = [style.getPropertyValue("--zero"), style.getPropertyValue(part < 0 ? "--negative" : "--positive")];
  const [zero, end] = ends.map((text) => text.trim().split(" ").map(Number));
  return `rgb(${zero.map((from, i) => Math.round(from + (end[i] - from) * Math.abs(part))).join(" ")})`;
}

/** What there is to say of a value in a sentence. */
function sentence(value) {
  if (value.low === undefined) return value.odd ? "nothing finite" : "empty";
  if (value.numbers?.length === 1) return short(value.numbers[0]);
  const odd = value.odd ? `, ${value.odd} not finite` : "";
  if (value.low === value.high) return `all ${short(value.low)}${odd}`;
  return `from ${short(value.low)} to ${short(value.high)}, mean ${short(value.mean)}${odd}`;
}

function showValue(value) {
  const figure = make("figure", { class: "value" });
  if (value.numbers?.length === 1) figure.append(make("p", { class: "scalar" }, short(value.numbers[0])));
  else if (value.numbers?.length) figure.append(table(value));
  if (value.heat) figure.append(heatMap(value));
  if (value.histogram) figure.append(histogram(value));
  const said = value.numbers?.length === 1 ? [] : [sentence(value)];
  figure.append(make("figcaption", {}, [value.spec, ...said, bytes(value.bytes)].join(" · ")));
  return figure;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = count ? Math.min(3, Math.floor(Math.log2(count) / 10)) : 0;
  return `${short(count / 1024 ** power)} ${units[power]}`;
}

function table(value) {
  const shape = axes(value);
  const wide = shape.at(-1) ?? 1;
  const scroll = make("div", { class: "numbers", tabindex: "0", role: "group", "aria-label": "Numbers" });
  const body = make("table");
  for (let row = 0; row * wide < value.numbers.length; row++) {
    const line = make("tr");
    for (const number of value.numbers.slice(row * wide, (row + 1) * wide)) {
      const cell = make("td", { title: String(number), "data-number": String(number) }, short(number));
      cell.classList.toggle("odd", ["nan", "inf", "-inf"].includes(number));
      cell.style.backgroundColor = colour(share(number, value) * 0.55);
      line.append(cell);
    }
    body.append(line);
  }
  scroll.append(body);
  return scroll;
}

function heatMap(value) {
  const codes = Uint8Array.from(atob(value.heat), (letter) => letter.charCodeAt(0));
  const rows = value.rows, wide = codes.length / rows;
  const canvas = make("canvas", { width: wide, height: rows, role: "img" });
  const across = axes(value).length - value.down;
  const laid = `${value.down} ${value.down > 1 ? "axes" : "axis"} down, ${across} across`;
  canvas.setAttribute("aria-label", `Heat map of ${value.spec}, ${laid}: ${sentence(value)}`);
  canvas.title = laid;
  canvas.style.aspectRatio = `${wide} / ${Math.min(rows, wide * 1.2)}`;
  const paint = canvas.getContext("2d");
  codes.forEach((code, i) => {
    paint.fillStyle = code ? colour((code - 128) / 127) : NOT_FINITE;
    paint.fillRect(i % wide, Math.floor(i / wide), 1, 1);
  });
  return canvas;
}

function histogram(value) {
  const bins = value.histogram, most = Math.max(...bins);
  const chart = drawn("svg", { viewBox: `0 0 ${bins.length * 10} 64`, class: "histogram", role: "img" });
  chart.setAttribute("aria-label", `Histogram: ${sentence(value)}`);
  const step = (value.high - value.low) / bins.length;
  bins.forEach((count, i) => {
    const high = count ? Math.max(1, (count / most) * 60) : 0;
    const bar = drawn("rect", { x: i * 10 + 1, width: 8, y: 62 - high, height: high });
    const title = drawn("title", {});
    title.textContent = `${count} from ${short(value.low + i * step)} to ${short(value.low + (i + 1) * step)}`;
    bar.append(title);
    chart.append(bar);
  });
  chart.append(drawn("path", { d: `M0 62.5H${bins.length * 10}` }));
  const ends = make("div", { class: "ends", "aria-hidden": "true" });
  ends.append(make("span", {}, short(value.low)), make("span", {}, short(value.high)));
  const whole = make("div");
  whole.append(chart, ends);
  return whole;
}
