// Runs once; `element` is what holds the viewer, whose contents are replaced for each photo.
const find = (selector) => element.querySelector(selector);

function show() {
  const chosen = find("input[name=sample]:checked");
  const doubt = find("[data-doubt]");
  const after = find(".after");
  if (chosen) {
    const link = find(".downloads .main");
    link.href = chosen.dataset.file;
    link.download = chosen.dataset.name;
  }
  if (doubt && doubt.checked) {
    after.setAttribute("src", doubt.dataset.doubt);
    after.alt = "The photo in grey, coloured where the samples differ";
  } else if (chosen) {
    after.setAttribute("src", chosen.dataset.after);
    after.alt = `The photo restored, sample ${Number(chosen.value) + 1}`;
  }
}

element.addEventListener("input", (event) => {
  if (event.target.matches(".at")) {
    find(".stage").style.setProperty("--at", `${event.target.value}%`);
    event.target.setAttribute("aria-valuetext", `${event.target.value} % before`);
  } else {
    show();
  }
});
