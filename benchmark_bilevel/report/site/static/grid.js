// The part of Grid.js that benchopt's page uses: a table with a search and sorting.
window.gridjs = {
  html: (text) => ({html: text}),

  Grid: class {
    constructor({columns, data}) {
      this.columns = columns;
      this.rows = data;
      this.sorted = null; // {column: index, ascending: boolean}
      this.sought = "";
      this.whenReady = [];
    }

    on(event, listener) {
      if (event === "ready") this.whenReady.push(listener);
      return this;
    }

    render(container) {
      const search = document.createElement("input");
      search.type = "search";
      search.className = "gridjs-search";
      search.placeholder = search.ariaLabel = "Type a keyword…";
      search.addEventListener("input", () => {
        this.sought = search.value.toLowerCase();
        this.forceRender();
      });
      this.table = document.createElement("table");
      this.table.className = "gridjs-table";
      const box = document.createElement("div");
      box.className = "gridjs-container";
      box.append(search, this.table);
      container.append(box);
      this.forceRender();
      this.whenReady.forEach((listener) => listener());
      return this;
    }

    forceRender() {
      const shown = this.columns.map((_, k) => k).filter((k) => !this.columns[k].hidden);
      const head = this.table.createTHead();
      const body = document.createElement("tbody");
      head.replaceChildren(document.createElement("tr"));
      head.rows[0].append(...shown.map((k) => this.heading(k)));
      for (const row of this.ordered()) {
        const cells = shown.map((k) => this.cell(row[k], this.columns[k]));
        const texts = cells.map((cell) => cell.textContent.toLowerCase());
        if (!texts.some((text) => text.includes(this.sought))) continue;
        const line = body.insertRow();
        line.append(...cells);
      }
      this.table.tBodies[0]?.remove();
      this.table.append(body);
    }

    heading(k) {
      const {column, ascending} = this.sorted ?? {};
      const state = column !== k ? "neutral" : ascending ? "asc" : "desc";
      const content = document.createElement("div");
      content.className = "gridjs-th-content";
      content.textContent = this.columns[k].name;
      const button = document.createElement("button");
      button.className = `gridjs-sort gridjs-sort-${state}`;
      button.ariaLabel = `Sort by ${this.columns[k].name}`;
      const heading = document.createElement("th");
      heading.className = "gridjs-th";
      heading.scope = "col";
      heading.ariaSort = column !== k ? "none" : ascending ? "ascending" : "descending";
      heading.append(content, button);
      heading.addEventListener("click", () => {
        const {cellIndex} = heading;
        this.sorted = {column: k, ascending: !(column === k && ascending)};
        this.forceRender();
        this.table.tHead.rows[0].cells[cellIndex].lastChild.focus();
      });
      return heading;
    }

    ordered() {
      if (!this.sorted) return this.rows;
      const {column, ascending} = this.sorted;
      const {compare} = this.columns[column].sort;
      const missing = (value) => typeof value === "number" && !Number.isFinite(value);
      return [...this.rows].sort(([...a], [...b]) => {
        const [first, second] = [a[column], b[column]];
        if (missing(first) || missing(second)) return missing(first) - missing(second);
        return ascending ? compare(first, second) : compare(second, first);
      });
    }

    cell(value, {formatter}) {
      const cell = document.createElement("td");
      if (typeof value === "number") {
        cell.className = "number";
        cell.textContent = this.text(value);
      } else {
        const formatted = formatter(value);
        if (formatted?.html === undefined) cell.textContent = formatted;
        else cell.innerHTML = formatted.html; // escaped by the page's own formatter
      }
      return cell;
    }

    // Significant digits: fixed decimals would show small numbers as zero.
    text(value) {
      if (!Number.isFinite(value)) return "–";
      if (Number.isInteger(value)) return value.toLocaleString("en");
      const digits = Math.max(1, tableFloatPrecision);
      const size = Math.abs(value);
      if (size >= 1e-3 && size < 1e6) return String(Number(value.toPrecision(digits)));
      return value.toExponential(Math.max(0, digits - 1));
    }
  },
};
