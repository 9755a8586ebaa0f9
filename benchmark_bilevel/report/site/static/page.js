// What benchopt's page has in scripts of its own: its start, and what its controls do.
{
  const byId = (id) => document.getElementById(id);

  // What figures have in common stays as it was chosen when the figure changes.
  const COMMON = ["problem", "x_axis", "cost", "target"];
  const alike = (key, value) => {
    const name = COMMON.find((common) => key.endsWith(`_${common}`));
    const selects = name ? [...document.querySelectorAll(`select[id$="_${name}"]`)] : [];
    const able = selects.filter(({options}) => [...options].some((o) => o.value === value));
    for (const select of able) select.value = value;
    const keys = able.map(({id}) => id.replace("change_", ""));
    return Object.fromEntries([key, ...keys].map((each) => [each, value]));
  };

  const chosenIn = (control) => (control.type === "checkbox" ? control.checked : control.value);
  byId("plot-controls").addEventListener("change", ({target}) => {
    setAllViewsToNonActive();
    setState(alike(target.dataset.state, chosenIn(target)));
  });
  byId("view-tabs").addEventListener("click", ({target}) => {
    if (target.matches("button.view")) setConfig(target);
  });
  byId("save-view").addEventListener("click", saveView);
  byId("export-views").addEventListener("click", exportConfigs);
  byId("save-svg").addEventListener("click", () => (
    chart.save(document.querySelector("#plot_container svg"), state().plot_kind)
  ));
  byId("figsize_controls").addEventListener("change", setFigSize);

  // --- by keyboard ---------------------------------------------------------------------

  // benchopt makes the legend anew whenever a curve is hidden: the focus stays.
  let focused = null;
  const nameOf = (element) => element.querySelector(".curve")?.textContent;
  byId("plot_legend").addEventListener("focusin", ({target}) => (focused = nameOf(target)));
  byId("plot_legend").addEventListener("focusout", ({relatedTarget}) => {
    if (relatedTarget) focused = null;
  });
  const asButton = (element) => {
    element.tabIndex = 0;
    element.setAttribute("role", "button");
    const name = nameOf(element);
    if (name !== undefined) element.ariaPressed = String(isVisible(name));
    if (name !== undefined && name === focused && document.activeElement === document.body) element.focus();
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      if (event.shiftKey && name !== undefined) handleCurveDoubleClick(name);
      else element.click();
    });
  };
  const whenAdded = new MutationObserver((changes) => {
    const added = changes.flatMap(({addedNodes}) => [...addedNodes]);
    for (const item of added) asButton(item.querySelector(":scope > .bg-white") ?? item);
  });
  for (const id of ["plot_legend", "view-tabs"]) whenAdded.observe(byId(id), {childList: true});

  // Which view is shown benchopt says by a class alone.
  new MutationObserver(() => {
    for (const view of document.querySelectorAll(".view")) {
      view.ariaPressed = String(view.classList.contains("active"));
    }
  }).observe(byId("view-tabs"), {attributeFilter: ["class"], childList: true, subtree: true});
  // It makes a table anew whenever a column is hidden: the focus stays.
  byId("table_container").addEventListener("change", ({target}) => {
    const boxes = () => [...byId("table_container").querySelectorAll("label input")];
    const at = boxes().indexOf(target);
    if (at >= 0) setTimeout(() => boxes()[at]?.focus());
  }, true);

  // --- what is chosen is in the address, so that a link leads there ----------------------

  let chosen = window._state;
  const LISTS = ["hidden_curves"];
  const permalink = () => {
    const {plot_kind: kind} = chosen;
    const own = ([key]) => !/_(problem|x_axis|cost|target)$/.test(key) || key.startsWith(kind);
    const found = new URLSearchParams();
    for (const [key, value] of Object.entries(chosen).filter(own)) {
      for (const each of [value].flat()) found.append(key, each);
    }
    return `#${found}`;
  };
  Object.defineProperty(window, "_state", {
    get: () => chosen,
    set: (value) => {
      chosen = value;
      // benchopt chooses the scale right after it.
      queueMicrotask(() => history.replaceState(null, "", permalink()));
    },
  });
  const wanted = new URLSearchParams(location.hash.slice(1));
  const restore = () => {
    const update = {};
    for (const key of new Set(wanted.keys())) {
      if (!(key in chosen)) continue;
      const value = wanted.get(key);
      update[key] = LISTS.includes(key) ? wanted.getAll(key)
        : typeof chosen[key] === "boolean" ? value === "true" : value;
      const select = byId(`change_${key}`);
      if (select) select.value = value;
    }
    if (!(update.plot_kind in window._plots)) return;
    setState({plot_kind: update.plot_kind});
    setState(update);
  };

  window.addEventListener("load", () => {
    const controls = [...document.querySelectorAll("[data-state]")];
    setState({
      suboptimal_curve: false,
      relative_curve: false,
      hidden_curves: [],
      ...Object.fromEntries(controls.map((each) => [each.dataset.state, chosenIn(each)])),
    });
    if (wanted.has("plot_kind")) restore();
    else setConfig(document.querySelector(".view"));
  });
}
