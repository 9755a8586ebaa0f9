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

  const actionOf = (code) => {
    const set = code.match(/^setState\(\{(\w+): this\.(value|checked)\b/);
    const action = set
      ? (element) => setState({[set[1]]: element[set[2]]})
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
    setConfig(document.getElementsByClassName("view")[1]);
  });
}
