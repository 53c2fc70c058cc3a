/* The panel: what there is to say of a box, and of the whole. */

function details(i) {
  const box = boxes[i];
  const parts = [
    make("p", { class: "chips" }, make("span", { class: `chip ${box.half}` }, box.half), ...kindOf(box)),
    make("h2", {}, box.name),
    make("p", { class: "formula" }, box.formula ? `${box.name} = ${box.formula}` : "", " ", make("code", {}, box.spec)),
  ];
  const line = make("p", { class: "source" }, make("code", {}, box.code || ""), " ", make("span", {}, box.where || ""));
  if (box.where) parts.push(line);
  if (box.inside) parts.push(make("ul", { class: "inside" }, ...box.inside.map((text) => make("li", {}, text))));
  if (box.body) parts.push(make("pre", { tabindex: "0" }, box.body));
  if (box.value !== undefined) parts.push(make("h3", {}, "Value"), showValue(values[box.value]));
  parts.push(...gradientOf(box));
  if (box.of !== undefined) parts.push(links("Differentiates", [box.of]));
  parts.push(links("Reads", box.reads), links("Read by", readers[i]));
  return parts;
}

function kindOf(box) {
  return box.kind === box.half ? [] : [make("span", { class: `chip ${box.kind}` }, box.kind)];
}

function gradientOf(box) {
  if (box.gradient === undefined && box.arrives === undefined) return [];
  const parts = [make("h3", {}, `Gradient d${told.loss}/d${box.name}`)];
  if (box.gradient !== undefined) parts.push(showValue(values[box.gradient]));
  if (box.arrives !== undefined) parts.push(links("Arrives as", [box.arrives]));
  return parts;
}

function links(words, targets) {
  if (!targets.length) return "";
  const list = make("p", { class: "links" }, make("span", {}, words));
  for (const box of targets) {
    const button = make("button", { class: boxes[box].half }, boxes[box].name);
    button.addEventListener("click", () => walk(stepOf.get(box)));
    list.append(button);
  }
  return list;
}

const MIRROR = " Values flow forward; gradients flow back, under the nodes they differentiate.";

function overview() {
  const mirrored = ["forward", "backward"].every((half) => boxes.some((box) => box.half === half));
  const count = (half) => boxes.filter((box) => box.half === half).length;
  const halves = ["forward", "backward", "update"].filter(count).map((half) => `${count(half)} ${half}`);
  const kinds = ["input", "parameter", "constant"].filter((kind) => boxes.some((box) => box.kind === kind));
  const keys = [
    ["← →", "step"], ["space", "play"], ["m", "to the mirror image"], ["/", "search"], ["+ − 0", "zoom"],
  ];
  return [
    make("h2", {}, document.title),
    make("p", {}, `${halves.join(", ")} boxes.`, mirrored ? MIRROR : ""),
    make("p", {}, values.length ? "A run is recorded: step through it." : "No run is recorded: feeds= records one."),
    ...result(),
    links("Not finite", order.filter(isOdd)),
    make("dl", { class: "keys" }, ...keys.flatMap(([key, does]) => [make("dt", {}, key), make("dd", {}, does)])),
    ...(told.remark ? [make("p", {}, told.remark)] : []),
    make("p", { class: "chips" }, ...kinds.map((kind) => make("span", { class: `chip ${kind}` }, kind))),
    links("Inputs", order.filter((box) => boxes[box].kind === "input")),
    links("Parameters", order.filter((box) => boxes[box].kind === "parameter")),
  ];
}

/** What the run comes to: the value of each output of the forward half. */
function result() {
  const outputs = boxes.filter((box) => box.output && box.half === "forward" && box.value !== undefined);
  return outputs.flatMap((box) => [make("h3", {}, `${box.name} = ${box.formula}`), showValue(values[box.value])]);
}

/** Does its value hold something that is not finite? */
function isOdd(box) {
  return Boolean(values[boxes[box].value]?.odd);
}
