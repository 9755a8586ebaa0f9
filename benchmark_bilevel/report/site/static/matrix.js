// The index's matrix: another target, another cost, another group of solvers.
const choices = document.getElementById("choices");
if (choices) {
  const table = document.querySelector("table.matrix");
  const update = (event) => {
    const {target, axis, group, all} = Object.fromEntries(
      [...choices.querySelectorAll(":checked, select")].map(({name, value}) => [name, value]),
    );
    for (const cell of table.querySelectorAll("td[data-choices]")) {
      const choice = JSON.parse(cell.dataset.choices)[axis][target];
      const [text, level, best, value] = choice;
      cell.firstElementChild.textContent = text;
      cell.className = `number shade-${level}${best ? " best" : ""}`;
      cell.dataset.value = value;
    }
    for (const row of table.tBodies[0].rows) {
      row.hidden = group !== "" && row.dataset.group !== group;
    }
    table.classList.toggle("all", Boolean(all || group));
    if (event?.target.matches("[name=target], [name=axis]")) {
      for (const heading of table.tHead.rows[0].cells) heading.ariaSort = "none"; // of other numbers
    }
  };
  choices.addEventListener("change", update);
  update(); // a browser that comes back keeps what was chosen
}
