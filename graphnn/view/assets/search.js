/* Searching: boxes whose name, op, shape, kind or line of source has all the words. */

let chosen = -1;

function search() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = ({ name, op, spec, where, kind, half, inside = [] }) =>
    [name, op, spec, where, kind, half, ...inside].join(" ").toLowerCase();
  const matches = (box) => words.every((word) => text(boxes[box]).includes(word));
  const found = words.length ? order.filter(matches) : [];
  hits = new Set(found);
  mark(order[at]);
  $("found").replaceChildren(...found.slice(0, 50).map(hit));
  if (words.length && !found.length) $("found").append(make("li", { class: "none" }, "Nothing by that name"));
  choose(found.length ? 0 : -1);
  $("found").hidden = !words.length;
  $("search").setAttribute("aria-expanded", String(words.length > 0));
}

function hit(box) {
  const { name, spec, half, where = "" } = boxes[box];
  const item = make("li", { role: "option", id: `hit${box}`, "data-box": box });
  item.append(make("b", {}, name), ` ${spec} `, make("small", {}, `${half} ${where}`));
  item.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the field in focus
  item.addEventListener("click", () => take(box));
  return item;
}

function choose(index) {
  const items = [...$("found").querySelectorAll("[role=option]")];
  chosen = Math.min(items.length - 1, Math.max(items.length ? 0 : -1, index));
  items.forEach((item, i) => item.setAttribute("aria-selected", String(i === chosen)));
  if (chosen >= 0) $("search").setAttribute("aria-activedescendant", items[chosen].id);
  else $("search").removeAttribute("aria-activedescendant");
  items[chosen]?.scrollIntoView({ block: "nearest" });
}

function take(box) {
  $("search").value = "";
  search();
  $("stage").focus();
  walk(stepOf.get(box));
}

function typed(event) {
  const item = $("found").querySelectorAll("[role=option]")[chosen];
  if (event.key === "ArrowDown") choose(chosen + 1);
  else if (event.key === "ArrowUp") choose(chosen - 1);
  else if (event.key === "Enter" && item) take(Number(item.dataset.box));
  else if (event.key === "Escape") {
    $("search").value = "";
    search();
    $("stage").focus();
  } else return;
  event.preventDefault();
}
