// Shows one of the models of the page.
"use strict";

function options(select, names) {
  select.replaceChildren(...names.map((name, i) => Object.assign(document.createElement("option"), {value: i, textContent: name})));
}

async function choose(number) {
  model = knowledge[number];
  explorer.ready = false;
  if (!model.ready) await prepare(model);
  explorer.model = model.title;
  get("models").querySelectorAll("button").forEach((button, i) => button.setAttribute("aria-pressed", i === number));
  model.extent = extent();
  ends = place = undefined;
  noise = gaussian(model.width);
  get("between-label").hidden = get("between").hidden = true;
  get("legend").replaceChildren(...model.classes.slice(0, 10).map((name, label) => {
    const entry = Object.assign(document.createElement("span"), {textContent: name});
    entry.style.setProperty("--of", colourOf(label));
    return entry;
  }));
  get("class-section").hidden = !model.places;
  if (model.places) {
    get("unit").textContent = model.places.unit;
    get("walk").hidden = get("walk-label").hidden = !model.places.anchors;
    get("walk").max = model.classes.length - 1;
    get("classes").replaceChildren(...model.classes.map((name, label) => {
      const button = Object.assign(document.createElement("button"), {type: "button", textContent: name});
      button.addEventListener("click", () => chooseClass(label));
      return button;
    }));
  }
  makeNumbers();
  get("flow-section").hidden = !model.flow;
  if (model.flow) {
    flowNoise = gaussian(model.flow.width);
    options(get("flow-label"), model.classes);
    get("steps-value").textContent = get("steps").value;
    get("guidance-value").textContent = get("guidance").value;
  }
  get("grid-section").hidden = !model.indices;
  moveTo(model.points[0]);
  if (model.indices) {
    get("cells").style.gridTemplateColumns = `repeat(${model.indices.grid[1]}, 1fr)`;
    get("finish").hidden = get("prior-label").hidden = !model.indices.prior;
    options(get("prior-class"), model.classes);
    cell = 0;
    readGrid();
  }
  explorer.ready = true;
}

get("models").hidden = knowledge.length < 2;
get("models").replaceChildren(...knowledge.map((known, i) => {
  const button = Object.assign(document.createElement("button"), {type: "button", textContent: known.title});
  button.addEventListener("click", () => choose(i));
  return button;
}));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMap);
choose(0);
