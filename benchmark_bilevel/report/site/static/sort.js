// A click on a heading sorts its table, and so does its button by keyboard; cells may give
// a data-value, and empty ones (not reached, not available) stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const value = (row, k) => row.cells[k].dataset.value ?? row.cells[k].textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  [...table.tHead.rows[0].cells].forEach((heading, k) => {
    const sort = () => {
      const ascending = heading.ariaSort !== "ascending";
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a, k), value(b, k)];
        if (x === "" || y === "") return (x === "") - (y === "");
        return ascending ? compare(x, y) : compare(y, x);
      });
      table.tBodies[0].append(...rows);
      for (const other of table.tHead.rows[0].cells) other.ariaSort = "none";
      heading.ariaSort = ascending ? "ascending" : "descending";
    };
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.ariaLabel = `Sort by ${heading.textContent.trim()}`;
    heading.ariaSort = "none";
    heading.append(button);
    heading.addEventListener("click", ({target}) => target.closest("a") ?? sort());
  });
}
