// What the report's page does: tables that sort, and a slider between the real and the synthetic image.
// Without it everything is still there to read: the slider alone is missing, its pictures stand beside one another.
"use strict";

for (const swipe of document.querySelectorAll(".swipe")) {
  const tile = swipe.closest(".tile");
  const range = swipe.querySelector("input[type=range]");
  const under = swipe.querySelector(".under");
  const over = swipe.querySelector(".over");
  const chosen = (name, other) => {
    const radio = swipe.querySelector(`input[name="${tile.id}-${name}"]:checked`);
    return radio ? radio.value : other;
  };
  const picture = (role) => tile.querySelector(`img[data-role="${role}"]`);
  const firstRun = swipe.dataset.run;
  const draw = () => {
    const view = chosen("view", "true");
    const real = picture(`real-${view}`);
    const run = chosen("run", firstRun);
    const made = picture(`${run}-${view}`) || picture(`${run}-true`); // a map looks the same in every colour
    if (!real || !made) return false;
    under.src = real.src;
    under.alt = real.alt;
    over.src = made.src;
    over.alt = made.alt;
    return true;
  };
  const move = () => {
    swipe.querySelector(".stage").style.setProperty("--at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} percent ${tile.querySelector(".tag.left").textContent}`);
  };
  if (!draw()) continue;
  swipe.hidden = false;
  move();
  range.addEventListener("input", move);
  swipe.addEventListener("change", draw);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const key = (row, column) => {
    const cell = row.cells[column];
    if (!("sort" in cell.dataset)) return cell.textContent.trim();
    const text = cell.dataset.sort;
    return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // what is undefined stays last
        const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
        return up ? order : -order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
