// Sorts the table of images by the column that is clicked, worst first. Each image is a tbody, so that its numbers and
// the pictures below them move together.
const table = document.getElementById("rows");
function number(body, column) {
  return Number(body.rows[0].cells[column].dataset.value);
}
function sort(head) {
  const column = head.cellIndex, way = head.dataset.worst === "high" ? -1 : 1;
  const bodies = [...table.tBodies];
  if (head.dataset.worst) bodies.sort((a, b) => way * (number(a, column) - number(b, column)) || 0);
  else bodies.sort((a, b) => a.rows[0].cells[column].textContent.localeCompare(b.rows[0].cells[column].textContent));
  bodies.forEach(body => table.append(body));
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way < 0 ? "descending" : "ascending");
}
for (const head of table.tHead.rows[0].cells) {
  head.onclick = () => sort(head);
  head.onkeydown = event => { if (event.key === "Enter") sort(head); };
}
