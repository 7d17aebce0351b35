// Shows one trial of `study` at a time, and saves the answers as a file.
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", answers = {};
const get = id => document.getElementById(id);
let at = 0, saved = false;
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
function figure(source, caption) {
  return element("figure", {}, element("img", { src: source, alt: caption }), element("figcaption", {}, caption));
}
// What is answered once: a trial, and a question to it. rethink_fr/evaluation/study/files.py names them alike.
function item(trial, place) {
  return study.questions.length === 1 ? trial.trial : `${trial.trial}.${place + 1}`;
}
const items = study.trials.flatMap(trial => study.questions.map((_, place) => item(trial, place)));
function show() {
  const trial = study.trials[at];
  get("progress").textContent = `Trial ${at + 1} of ${study.trials.length}`;
  get("given").replaceChildren(figure(trial.input, "input"),
    ...(trial.truth ? [figure(trial.truth, "ground truth")] : []));
  get("options").replaceChildren(...trial.options.map((source, place) => figure(source, letters[place])));
  get("questions").replaceChildren(...study.questions.map((question, number) => {
    const name = item(trial, number);
    return element("fieldset", {}, element("legend", {}, question), ...trial.options.map((_, place) => {
      const choice = letters[place], checked = answers[name] === choice;
      const radio = element("input", { type: "radio", name: "choice" + number, value: choice, checked });
      radio.onchange = () => { answers[name] = choice; saved = false; buttons(); };
      return element("label", {}, radio, " " + choice);
    }));
  }));
  buttons();
}
function buttons() {
  const open = items.filter(name => !answers[name]).length;
  const here = study.questions.every((_, place) => answers[item(study.trials[at], place)]);
  get("back").disabled = at === 0;
  get("next").disabled = at === study.trials.length - 1 || !here;
  const nameless = get("rater").value.trim() ? "" : "please give your name";
  get("save").disabled = open > 0 || nameless !== "";
  get("open").textContent = open ? `${open} without an answer` : nameless;
}
// FNV-1a of 32 bits; rethink_fr/evaluation/study/files.py computes the same.
function checksum(lines) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(lines.join("\n"))) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value.toString(16).padStart(8, "0");
}
function save() {
  const rater = get("rater").value.trim();
  const chosen = items.map(name => ({ trial: name, choice: answers[name] }));
  const check = checksum([study.study, rater, ...chosen.map(one => `${one.trial}:${one.choice}`)]);
  const text = JSON.stringify({ study: study.study, rater, answers: chosen, check }, null, 1) + "\n";
  const link = element("a", { download: `answers-${study.study}-${rater.replace(/[^A-Za-z0-9]+/g, "_")}.json`,
    href: URL.createObjectURL(new Blob([text], { type: "application/json" })) });
  document.body.append(link);
  link.click();
  link.remove();
  saved = true;
}
get("back").onclick = () => { at -= 1; show(); };
get("next").onclick = () => { at += 1; show(); };
get("save").onclick = save;
get("rater").oninput = () => { saved = false; buttons(); };
window.onbeforeunload = event => { if (Object.keys(answers).length && !saved) event.preventDefault(); };
show();
