// benchopt's script asks plotly.js for its figures: here the site's own curves, of which
// it needs a part.
{
  const {draw, element, number} = window.chart;
  const SCALES = {
    linear: [false, false], "semilog-x": [true, false], "semilog-y": [false, true], loglog: [true, true],
  };

  // Curves name their looks and their lists of numbers, as each is there once.
  for (const figures of Object.values(window._plots)) {
    for (const {type, data} of Object.values(figures)) {
      if (type !== "scatter") continue;
      for (const curve of data) {
        Object.assign(curve, window._looks[curve.look]);
        for (const key of ["x", "y", "y_low", "y_high", "crosses"]) {
          if (key in curve) curve[key] = window._lists[curve[key]];
        }
      }
    }
  }

  // Shares rise in steps, without markers: there are too many.
  const stairs = ({x, y}) => ({
    x: x.flatMap((value, k) => (k ? [value, value] : [value])),
    y: y.flatMap((value, k) => (k ? [y[k - 1], value] : [value])),
  });

  const asDrawn = (curve) => ({
    ...curve,
    ...(curve.shape === "hv" ? stairs(curve) : {}),
    low: curve.y_low,
    high: curve.y_high,
    marker: curve.shape === "hv" ? null : curve.symbol,
  });

  const svg = element("svg", {"data-name": "figure", role: "img"});
  const tip = document.createElement("div");
  tip.className = "viewer-tip";
  tip.hidden = true;
  let curves = [];
  let places = [];

  const render = (div) => {
    if (!div.offsetParent) return; // a table stands in the figure's place
    const {data, title, xlabel, ylabel} = getPlotData();
    const [logX, logY] = SCALES[state().scale];
    div.prepend(svg, tip);
    tip.hidden = true;
    const plain = title.replace(/<br ?\/?>/g, "; ");
    document.getElementById("plot-title").textContent = plain;
    svg.setAttribute("aria-label", `${plain}: ${ylabel} against ${xlabel}`);
    curves = data.filter(({label}) => isVisible(label)).map(asDrawn);
    const titles = {x: xlabel, y: ylabel};
    places = draw(svg, curves, {titles, logX, logY, bands: state().with_quantiles, focus: null});
  };

  const point = ({clientX, clientY}) => {
    const {left, top, width} = svg.getBoundingClientRect();
    const [x, y] = [clientX - left, clientY - top];
    const all = places.flatMap((line, curve) => line.map(([a, b], point) => (
      {curve, point, distance: (a - x) ** 2 + (b - y) ** 2}
    )));
    const nearest = all.reduce((a, b) => (b.distance < a.distance ? b : a), {distance: 40 ** 2});
    tip.hidden = !("curve" in nearest);
    if (tip.hidden) return;
    const {label, ...own} = curves[nearest.curve];
    const {xlabel, ylabel} = getPlotData();
    const said = [[xlabel, own.x], [ylabel, own.y]].map(
      ([text, values]) => `${text}: ${number(values[nearest.point], 15)}`);
    tip.textContent = [label, ...said].join(" · ");
    tip.style.left = x > width / 2 ? "auto" : `${x + 14}px`;
    tip.style.right = x > width / 2 ? `${width - x + 14}px` : "auto";
    tip.style.top = `${Math.max(0, y - 20)}px`;
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  // A finger leaves when it is lifted: what it has pointed at stays to be read.
  svg.addEventListener("pointerleave", ({pointerType}) => {
    if (pointerType === "mouse") tip.hidden = true;
  });

  window.Plotly = {
    purge: () => {},
    react: render,
    relayout: () => {},
    Plots: {resize: async (div) => render(div)},
  };
}
