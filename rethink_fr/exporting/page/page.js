// What the page does: a picture is chosen, restored by `worker.js`, and shown before and after.

import { doubtMap } from "./doubt.js";
import { canvasOf, readSquare } from "./pictures.js";

const element = (id) => document.getElementById(id);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

let model = null; // what model.json says
let face = null; // the chosen one: { name, pixels }
let samples = []; // its restorations, as pixels
let worker = null;
let running = false;
let choices = 0; // how often a picture was chosen: only the last one counts

begin();

async function begin() {
  try {
    model = await (await found("model.json")).json();
    showCard(await (await found("MODEL_CARD.md")).text());
  } catch (error) {
    return tell(`This page is not complete: ${error.message}.`, true);
  }
  for (const setting of document.querySelectorAll(".setting")) {
    setting.hidden = setting.dataset.for !== model.control || (model.control === "noise" && !model.stochastic);
  }
  const bytes = Object.values(model.files).reduce((sum, size) => sum + size, 0);
  element("size").textContent =
    `The result has ${model.side} × ${model.side} pixels. The first restoration loads ${megabytes(bytes)}, less if the ` +
    `server compresses: the model, ${megabytes(model.files["model.onnx"])}, and what runs it.`;
  element("example").disabled = false;
  document.querySelectorAll("input[type=range]").forEach(echo);
  tell("Choose a picture of one face.");
}

async function found(name) {
  const response = await fetch(name, { cache: "no-cache" }); // asks whether it is still the same
  if (!response.ok) throw new Error(`the server answered ${response.status} for ${name}`);
  return response;
}

// Choosing a picture

element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) choose(file);
  event.target.value = ""; // so that the same file can be chosen again
});
element("example").addEventListener("click", async () => {
  try {
    choose(new File([await (await found("example.png")).blob()], "drawn face.png"));
  } catch (error) {
    tell(`The drawn face could not be loaded: ${error.message}.`, true);
  }
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
  });
}

async function choose(file) {
  if (model === null) return;
  const choice = ++choices;
  stop();
  try {
    const { pixels, width, height } = await readSquare(file, model.side);
    if (choice !== choices) return;
    face = { name: file.name, pixels };
    samples = [];
    show();
    const cut = width === height ? "" : " Its central square is taken.";
    tell(`${file.name}, ${width} × ${height} px.${cut} Press “Restore”.`);
  } catch (error) {
    if (choice !== choices) return;
    tell(`${file.name} cannot be used. ${error.message}`, true);
  }
  element("restore").disabled = face === null;
}

// Restoring it

element("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) {
    stop();
    tell("Stopped.");
  } else if (face) {
    restore();
  }
});

function restore() {
  worker ??= new Worker("worker.js", { type: "module" });
  const wanted = settings();
  const spent = [];
  samples = [];
  show();
  setRunning(true);
  tell("Loading the model …");
  worker.onmessage = ({ data: told }) => {
    if (told.kind === "progress") {
      element("progress").value = told.arrived / told.total;
      if (told.arrived === told.total) tell("Starting the model …");
    } else if (told.kind === "restored") {
      spent.push(told.seconds);
      samples.push(told.pixels);
      element("progress").value = samples.length / wanted.samples;
      tell(`Restored ${samples.length} of ${wanted.samples} times …`);
      show();
    } else if (told.kind === "done") {
      setRunning(false);
      tell(summary(face.name, spent, told.threads));
      element("viewer").scrollIntoView({ block: "nearest" });
    } else {
      stop();
      tell(`That did not work: ${told.message}. The picture is unchanged; try again, or another browser.`, true);
    }
  };
  worker.onerror = (event) => {
    stop();
    tell(`This browser cannot run the model (${event.message ?? "its worker did not start"}).`, true);
  };
  worker.postMessage({ model, pixels: face.pixels, wanted });
}

/** How often the face is to be restored, and by which noise or fidelity. */
function settings() {
  const [noise, fidelity, seed] = ["noise", "fidelity", "seed"].map((id) => Number(element(id).value));
  const varied = model.control === "noise" && model.stochastic && noise > 0;
  return { samples: varied ? Number(element("samples").value) : 1, noise: varied ? noise : 0, fidelity, seed };
}

function summary(name, spent, threads) {
  const times = spent.length === 1 ? "" : ` ${spent.length} times`;
  const each = (spent.reduce((sum, seconds) => sum + seconds, 0) / spent.length).toFixed(2);
  return (
    `${name} restored${times}${spent.length === 1 ? " in" : ", each in"} ${each} s by ${threads} thread${threads === 1 ? "" : "s"}. ` +
    "What you see is plausible, not evidence."
  );
}

function stop() {
  if (!running) return;
  worker.terminate();
  worker = null;
  setRunning(false);
}

function setRunning(value) {
  running = value;
  element("restore").textContent = running ? "Stop" : "Restore";
  element("progress").hidden = !running;
  element("progress").value = 0;
}

// Showing it

function show() {
  element("viewer").hidden = face === null;
  draw(element("before"), face.pixels);
  element("after").hidden = document.querySelector(".edge").hidden = element("at").hidden = samples.length === 0;
  const strip = element("strip");
  strip.hidden = samples.length < 2;
  const before = strip.querySelectorAll("label").length;
  if (before > samples.length) strip.querySelectorAll("label").forEach((label) => label.remove());
  samples.slice(strip.querySelectorAll("label").length).forEach((pixels) => strip.append(thumbnail(pixels)));
  element("doubt").hidden = samples.length < 2;
  element("download").hidden = samples.length === 0;
  if (samples.length > 0) showAfter();
}

function thumbnail(pixels) {
  const number = samples.indexOf(pixels);
  const label = document.createElement("label");
  const choice = Object.assign(document.createElement("input"), { type: "radio", name: "sample", value: number });
  choice.checked = number === 0;
  const canvas = canvasOf(model.side, pixels);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `sample ${number + 1}`);
  label.append(choice, ` ${number + 1}`, canvas);
  return label;
}

function showAfter() {
  const chosen = Number(document.querySelector("input[name=sample]:checked")?.value ?? 0);
  const after = element("after");
  if (element("show-doubt").checked && samples.length > 1) {
    const { pixels, scale } = doubtMap(face.pixels, samples);
    draw(after, pixels);
    after.setAttribute("aria-label", "The face in grey, coloured where the samples differ");
    element("scale").textContent = `0 to ${scale} levels of 255`;
    offer(after, "doubt", "Download the map of doubt");
  } else {
    draw(after, samples[chosen]);
    after.setAttribute("aria-label", `The face restored, sample ${chosen + 1}`);
    element("scale").textContent = "none to much";
    offer(after, `restored_${chosen + 1}`, "Download the restored face");
  }
}

function offer(canvas, kind, label) {
  const link = element("download");
  link.textContent = label;
  link.download = `${face.name.replace(/\.[^.]*$/, "")}_${kind}.png`;
  canvas.toBlob((blob) => {
    if (link.href) URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(blob);
  }, "image/png");
}

function draw(canvas, pixels) {
  canvas.width = canvas.height = model.side;
  canvas.getContext("2d").putImageData(new ImageData(pixels, model.side), 0, 0);
}

element("viewer").addEventListener("input", (event) => {
  if (event.target.id === "at") {
    element("stage").style.setProperty("--at", `${event.target.value}%`);
    event.target.setAttribute("aria-valuetext", `${event.target.value} % before`);
  } else {
    showAfter();
  }
});

element("controls").addEventListener("input", (event) => echo(event.target));

function echo(input) {
  const output = document.querySelector(`output[for=${input.id}]`);
  if (output) output.textContent = input.value;
}

function tell(text, wrong = false) {
  element("status").textContent = text;
  element("status").classList.toggle("wrong", wrong);
}

/** The card is Markdown of our own exporter: headings, lists, indented tables and paragraphs. */
function showCard(text) {
  for (const part of text.replaceAll("`", "").trim().split(/\n{2,}/)) {
    const heading = part.match(/^#+ (.*)/);
    const kind = heading ? "h2" : part.startsWith("    ") ? "pre" : part.startsWith("* ") ? "ul" : "p";
    const made = document.createElement(kind);
    if (kind === "ul") {
      for (const item of part.slice(2).split("\n* ")) {
        made.append(Object.assign(document.createElement("li"), { textContent: item.replace(/\s+/g, " ") }));
      }
    } else {
      made.textContent = heading ? heading[1] : kind === "pre" ? part.replace(/^ {4}/gm, "") : part;
    }
    element("card").append(made);
  }
}
