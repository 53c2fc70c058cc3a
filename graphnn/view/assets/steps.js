/* Steps: where the run stands, and every way to go on. */

const told = JSON.parse(document.getElementById("told").textContent);
const { boxes, order, values } = told;
const $ = (id) => document.getElementById(id);
const picture = $("picture");
const camera = new Camera($("stage"), picture);
const groups = [...picture.querySelectorAll("g.node")];
const bounds = groups.map((group) => group.getBBox());
const arrows = [...picture.querySelectorAll(":scope > path")];
const stepOf = new Map(order.map((box, step) => [box, step]));
const readers = boxes.map(() => []);
boxes.forEach((box, i) => box.reads.forEach((read) => readers[read].push(i)));

const odd = new Set(order.filter(isOdd));

let at = -1; // the step shown; -1 is the overview
let hits = new Set(); // the boxes that a search found
let player = 0;

/* Going ------------------------------------------------------------------------------------------------------- */

function go(step) {
  at = Math.min(order.length - 1, Math.max(-1, step));
  const box = order[at];
  $("place").value = at + 1;
  $("place").setAttribute("aria-valuetext", at < 0 ? "Overview" : `${at + 1}, ${boxes[box].name}`);
  $("count").textContent = at < 0 ? `${order.length} steps` : `${at + 1} / ${order.length}`;
  for (const id of ["start", "back"]) $(id).disabled = at < 0;
  for (const id of ["next", "end"]) $(id).disabled = at === order.length - 1;
  for (const button of $("halves").children)
    button.setAttribute("aria-current", String(at >= 0 && button.dataset.half === boxes[box].half));
  mark(box);
  showPanel(box);
  $("announce").textContent = announcement(box);
  if (at >= 0 || camera.whole < 0.3) camera.follow(bounds[box ?? order[0]]); // a strip is seen from its start
  else camera.fit();
}

/** What is still ahead is pale; the box of this step, those it reads, and the node it is the adjoint of stand out. */
function mark(now) {
  const { reads = [], of } = boxes[now] || {};
  groups.forEach((group, box) => {
    const faced = box === of, read = reads.includes(box);
    const words = { ahead: isAhead(box), now: box === now, read, faced, hit: hits.has(box), odd: odd.has(box) };
    look(group, ["node", boxes[box].kind], words);
    group.tabIndex = box === now ? 0 : -1;
    if (box === now) group.setAttribute("aria-current", "step");
    else group.removeAttribute("aria-current");
  });
  told.arrows.forEach(([, head], i) => look(arrows[i], [], { ahead: isAhead(head), now: head === now }));
}

function isAhead(box) {
  return at >= 0 && stepOf.get(box) > at;
}

/** Only what changes is set: large pictures have thousands of boxes. */
function look(element, always, words) {
  const text = [...always, ...Object.keys(words).filter((word) => words[word])].join(" ");
  if (element.getAttribute("class") !== text) element.setAttribute("class", text);
}

function announcement(box) {
  if (box === undefined) return `Overview. ${order.length} steps.`;
  const { half, name, formula, spec, value } = boxes[box];
  const parts = [`Step ${at + 1} of ${order.length}, ${half}: ${name}${formula ? ` = ${formula}` : ""}, ${spec}`];
  if (value !== undefined) parts.push(sentence(values[value]));
  return parts.join(". ");
}

function play(on) {
  clearInterval(player);
  player = on ? setInterval(() => (at < order.length - 1 ? go(at + 1) : play(false)), 1100) : 0;
  $("play").setAttribute("aria-pressed", String(on));
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  if (on) go(at < order.length - 1 ? at + 1 : 0);
}

function walk(step) {
  play(false);
  go(step);
}

function showPanel(box) {
  $("panel").replaceChildren(...(box === undefined ? overview() : details(box)));
  $("panel").scrollTop = 0;
}

/* Pointing and keys ------------------------------------------------------------------------------------------- */

function boxAt(event) {
  return groups.indexOf(event.target.closest("g.node"));
}

function showHint(event) {
  const i = event.pointerType === "mouse" && !event.buttons ? boxAt(event) : -1;
  $("hint").hidden = i < 0;
  if (i < 0) return;
  const { name, formula, spec, code, where } = boxes[i];
  const lines = [formula ? `${name} = ${formula}` : name, spec, code, where].filter(Boolean);
  $("hint").replaceChildren(...lines.map((text) => make("div", {}, text)));
  const { offsetWidth, offsetHeight, style } = $("hint");
  const above = event.clientY + 18 + offsetHeight > innerHeight;
  style.left = `${Math.max(8, Math.min(innerWidth - offsetWidth - 8, event.clientX + 14))}px`;
  style.top = `${event.clientY + (above ? -offsetHeight - 12 : 18)}px`;
}

function toMirror() {
  const box = order[at];
  if (box === undefined) return;
  const facing = boxes[box].of ?? boxes[box].arrives ?? boxes.findIndex((other) => other.of === box);
  if (facing >= 0) walk(stepOf.get(facing));
}

const keys = {
  ArrowRight: () => walk(at + 1), ArrowDown: () => walk(at + 1),
  ArrowLeft: () => walk(at - 1), ArrowUp: () => walk(at - 1),
  Home: () => walk(-1), End: () => walk(order.length - 1), " ": () => play(!player), m: toMirror,
  "+": () => camera.zoom(1.25), "=": () => camera.zoom(1.25), "-": () => camera.zoom(0.8), 0: () => camera.fit(),
  "/": () => $("search").focus(),
};

function pressed(event) {
  const { target, key } = event;
  const own = target.closest("input, .numbers") || (key === " " && target.closest("button"));
  if (event.ctrlKey || event.metaKey || event.altKey || own || !keys[key]) return;
  if (target.closest("#panel") && ["ArrowUp", "ArrowDown", "Home", "End"].includes(key)) return; // it scrolls
  event.preventDefault();
  keys[key]();
}

function begin() {
  groups.forEach((group, i) => {
    const { name, spec, half } = boxes[i];
    group.setAttribute("role", "button");
    group.setAttribute("aria-label", `${name}, ${spec}, ${half}`);
  });
  for (const half of ["forward", "backward", "update"]) {
    const inside = order.filter((box) => boxes[box].half === half);
    if (!inside.length) continue;
    const button = make("button", { class: half, "data-half": half }, half);
    button.style.flexGrow = inside.length;
    button.addEventListener("click", () => walk(stepOf.get(inside[0])));
    $("halves").append(button);
  }
  $("place").max = order.length;
  const clicks = {
    start: () => walk(-1), back: () => walk(at - 1), next: () => walk(at + 1), end: () => walk(order.length - 1),
    play: () => play(!player), closer: () => camera.zoom(1.4), farther: () => camera.zoom(0.7), fit: () => camera.fit(),
  };
  for (const [id, does] of Object.entries(clicks)) $(id).addEventListener("click", does);
  $("place").addEventListener("input", () => walk($("place").value - 1));
  $("search").addEventListener("input", search);
  $("search").addEventListener("keydown", typed);
  document.addEventListener("keydown", pressed);
  picture.addEventListener("click", (event) => {
    const box = boxAt(event);
    if (box >= 0 && !camera.dragged) walk(stepOf.get(box));
  });
  $("stage").addEventListener("pointermove", showHint);
  $("stage").addEventListener("pointerleave", () => ($("hint").hidden = true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => showPanel(order[at]));
  go(-1);
}

begin();
