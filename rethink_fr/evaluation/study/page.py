"""The page of a human study: one trial at a time, answers as a file. It does not know which method is where."""

from __future__ import annotations

from typing import Dict, List, Sequence, Union

from rethink_fr.evaluation.report.web_page import as_script, escape, page
from rethink_fr.evaluation.study.files import LETTERS

PageTrial = Dict[str, Union[str, List[str]]]  # "trial", "input", "truth", and "options" in the page's order

_STYLE = """
body { max-width: none; } img { width: 100%; max-width: 512px; display: block; } fieldset { border: 0; padding: 0; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; }
.row figure { margin: 0; flex: 1 1 200px; max-width: 512px; }
.row label { display: block; cursor: pointer; border: 4px solid #ddd; padding: 4px; }
.row label:has(:checked) { border-color: #0072b2; } button { font: inherit; padding: .4rem 1rem; margin-right: .5rem; }
"""

_SCRIPT = """
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
function show() {
  const trial = study.trials[at];
  get("progress").textContent = `Trial ${at + 1} of ${study.trials.length}`;
  get("given").replaceChildren(figure(trial.input, "input"), figure(trial.truth, "ground truth"));
  get("options").replaceChildren(...trial.options.map((source, place) => {
    const choice = letters[place], checked = answers[trial.trial] === choice;
    const radio = element("input", { type: "radio", name: "choice", value: choice, checked });
    radio.onchange = () => { answers[trial.trial] = choice; saved = false; buttons(); };
    const picture = element("img", { src: source, alt: choice });
    return element("figure", {}, element("label", {}, picture, radio, " " + choice));
  }));
  buttons();
}
function buttons() {
  const open = study.trials.filter(trial => !answers[trial.trial]).length;
  get("back").disabled = at === 0;
  get("next").disabled = at === study.trials.length - 1 || !answers[study.trials[at].trial];
  const nameless = get("rater").value.trim() ? "" : "please give your name";
  get("save").disabled = open > 0 || nameless !== "";
  get("open").textContent = open ? `${open} without an answer` : nameless;
}
function checksum(lines) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(lines.join("\\n"))) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value.toString(16).padStart(8, "0");
}
function save() {
  const rater = get("rater").value.trim();
  const chosen = study.trials.map(trial => ({ trial: trial.trial, choice: answers[trial.trial] }));
  const check = checksum([study.study, rater, ...chosen.map(one => `${one.trial}:${one.choice}`)]);
  const text = JSON.stringify({ study: study.study, rater, answers: chosen, check }, null, 1) + "\\n";
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
"""


def study_page(study: str, question: str, trials: Sequence[PageTrial]) -> bytes:
    """The page as HTML; works from a file, loads nothing, and holds nothing but `study`, the question and pictures."""
    count = len(trials[0]["options"])
    body = f"""<h1>{escape(question)}</h1>
<p class="note">Each trial shows an input, its ground truth, and {count} restorations in random order, called
{", ".join(LETTERS[:count])}. Choose one in each; at the end, save your answers and send the file back.</p>
<p><label>Your name: <input id="rater" maxlength="80"></label></p>
<h2 id="progress"></h2>
<div class="row" id="given"></div>
<fieldset class="row" id="options"></fieldset>
<p><button id="back">Back</button><button id="next">Next</button><button id="save">Save answers</button>
<span class="note" id="open"></span></p>"""
    content = {"study": study, "trials": list(trials)}
    return page("Study", body, _STYLE, f"const study = {as_script(content)};\n{_SCRIPT}")
