"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[table.tBodies.length - 1];
      const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
      const compare = (one, two) => {
        const [a, b] = [key(one), key(two)];
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return down ? -order : order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
for (const rows of document.querySelectorAll(".rows")) {
  const tools = rows.previousElementSibling;
  const filter = tools.querySelector("input");
  const order = tools.querySelector("select");
  const all = [...rows.querySelectorAll(":scope > details")];
  tools.hidden = false;
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of all) row.hidden = !row.dataset.id.toLowerCase().includes(wanted);
  });
  order.addEventListener("change", () => {
    const collator = new Intl.Collator("en", { numeric: true });
    const sorted = order.value === "id" ? [...all].sort((a, b) => collator.compare(a.dataset.id, b.dataset.id)) : all;
    rows.append(...sorted);
  });
}
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not(.rows details)")) one.open = true;
});
