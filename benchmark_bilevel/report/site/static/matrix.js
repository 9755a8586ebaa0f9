// The index's matrix: another target, another cost, another group of solvers.
const form = document.getElementById("choices");
if (form) {
  const table = document.querySelector("table.matrix");
  const update = () => {
    const {target, axis, group, all} = form.elements;
    for (const cell of table.querySelectorAll("td[data-choices]")) {
      const choice = JSON.parse(cell.dataset.choices)[axis.value][target.value];
      const [text, level, best, value] = choice;
      cell.firstElementChild.textContent = text;
      cell.className = `number shade-${level}${best ? " best" : ""}`;
      cell.dataset.value = value;
    }
    for (const row of table.tBodies[0].rows) {
      row.hidden = group.value !== "" && row.dataset.group !== group.value;
    }
    table.classList.toggle("all", Boolean(all?.checked || group.value));
  };
  form.addEventListener("change", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  update(); // a browser that comes back keeps what was chosen
}
