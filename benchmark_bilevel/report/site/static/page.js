// What benchopt's page has in its own scripts: the start, and what its elements do.
// Here they are data (`data-onclick`), as the site's pages may hold no script.
{
  const value = (id) => document.getElementById(id).value;
  const checked = (id) => document.getElementById(id).checked;

  const actions = {
    "setAllViewsToNonActive()": () => setAllViewsToNonActive(),
    "setConfig(this)": (element) => setConfig(element),
    "setFigSize()": () => setFigSize(),
    "saveView()": () => saveView(),
    "exportConfigs()": () => exportConfigs(),
    "document.getElementById('system-modal').style.display = 'block'": () =>
      show(document.getElementById("system-modal"), "block"),
    "document.getElementById('system-modal').style.display = 'none'": () =>
      hide(document.getElementById("system-modal")),
  };

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

  const actionOf = (code) => {
    const set = code.match(/^setState\(\{(\w+): this\.(value|checked)\b/);
    const action = set
      ? (element) => setState(alike(set[1], element[set[2]]))
      : actions[code.replace(/^return /, "")];
    if (!action) throw new Error(`benchopt's page does what is not known here: ${code}`);
    return action;
  };

  // Alone a downloaded page would find none of its files.
  for (const element of document.querySelectorAll("[data-onclick*=exportHTML]")) {
    element.remove();
  }
  for (const kind of ["click", "change"]) {
    for (const element of document.querySelectorAll(`[data-on${kind}]`)) {
      const action = actionOf(element.dataset[`on${kind}`]);
      element.addEventListener(kind, (event) => {
        if (action(element) === false) event.preventDefault();
      });
    }
  }

  // In the bars of wide and of narrow screens: the pages beside this one for benchopt's.
  for (const link of document.querySelectorAll('nav a[href^="https:"]')) link.remove();
  for (const home of document.querySelectorAll('nav a[href="index.html"]')) {
    for (const [text, address] of Object.entries(metadata.links)) {
      if (!address) continue;
      const link = home.cloneNode();
      link.href = address;
      link.textContent = text;
      home.parentElement.insertBefore(link, home.nextSibling);
    }
  }
  document.getElementById("brand").classList.remove("hidden");

  // --- by keyboard, and for those who listen -------------------------------------------

  const asButton = (element) => {
    element.tabIndex = 0;
    element.setAttribute("role", "button");
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      element.click();
    });
  };
  document.querySelectorAll("span.view").forEach(asButton);
  new MutationObserver((changes) => {
    const added = changes.flatMap(({addedNodes}) => [...addedNodes]);
    for (const item of added) asButton(item.querySelector(":scope > .bg-white") ?? item);
  }).observe(document.getElementById("plot_legend"), {childList: true});
  for (const control of document.querySelectorAll("select, input")) {
    const text = control.closest("[id], .px-8")?.parentElement.querySelector("label, .block");
    if (!control.title && text) control.ariaLabel ??= text.textContent.trim();
  }

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
      history.replaceState(null, "", permalink());
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
      const select = document.getElementById(`change_${key}`);
      if (select) select.value = value;
    }
    if (!(update.plot_kind in window._plots)) return;
    setState({plot_kind: update.plot_kind});
    setState(update);
  };

  window.addEventListener("load", () => {
    const options = document.querySelectorAll("[id$='-custom-params-container'] select");
    setState({
      plot_kind: value("plot_kind"),
      scale: value("change_scale"),
      with_quantiles: checked("change_shades"),
      suboptimal_curve: checked("change_suboptimal"),
      relative_curve: checked("change_relative"),
      hidden_curves: [],
      ...Object.fromEntries(
        [...options].map((select) => [select.id.replace("change_", ""), select.value]),
      ),
    });
    // The first is a text: "Available plot views".
    if (wanted.has("plot_kind")) restore();
    else setConfig(document.getElementsByClassName("view")[1]);
  });
}
