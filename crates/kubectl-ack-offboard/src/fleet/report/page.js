"use strict";
// Sorts and filters what is on the page already. Without it, everything is there in its first order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.tHead.rows[0].querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const order = new Intl.Collator("en", { numeric: true }).compare;
      const rows = Array.from(body.rows).sort((a, b) => (descending ? order(key(b), key(a)) : order(key(a), key(b))));
      body.append(...rows);
    });
  });
}
const matrix = document.getElementById("matrix");
if (matrix) {
  const [search, state, access, count] = ["search", "state", "access", "count"].map((id) => document.getElementById(id));
  const rows = Array.from(matrix.tBodies[0].rows);
  const offer = (select, values) => {
    for (const value of new Set(values)) select.append(new Option(value, value));
  };
  offer(state, rows.map((row) => row.dataset.state));
  offer(access, rows.map((row) => row.dataset.access));
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const isState = !state.value || row.dataset.state === state.value || (state.value === "gone" && row.dataset.gone === "yes");
      const isAccess = !access.value || row.dataset.access === access.value;
      row.hidden = !(isState && isAccess && words.every((word) => texts.get(row).includes(word)));
      if (!row.hidden) shown += 1;
    }
    count.textContent = `${shown} of ${rows.length} identities`;
  };
  for (const control of [search, state, access]) control.addEventListener("input", filter);
  const controls = document.querySelector(".controls");
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  filter();
}
// On paper, nothing is folded: for browsers whose style sheets cannot say so.
let folded = [];
addEventListener("beforeprint", () => {
  folded = Array.from(document.querySelectorAll("details:not([open])"));
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
});
