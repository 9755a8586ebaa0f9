// benchopt's page is written for plotly.js 2, which took a text as a title; later
// versions want an object, which plotly.js 2 understands too. On the way, curves get
// what benchopt's page does not draw: dashes, steps, faint bands, and a cross where they
// diverged.
{
  // Plotly takes texts for HTML; line breaks are the only ones that are meant.
  const escaped = (text) => text.split(/<br ?\/?>/).map(escapeHtml).join("<br>");

  const asTitle = (title) => (
    typeof title === "string" ? {text: escaped(title)} : title
  );

  const curveOf = (trace) => getPlotData().data.find((curve) => curve.label === trace.name);

  const restyleCurve = (trace, curve) => ({
    ...trace,
    line: {...trace.line, width: 2, dash: curve.dash, shape: curve.shape},
    marker: {...trace.marker, size: 8, maxdisplayed: 10},
    hovertemplate: [trace.name, `${getPlotData().xlabel}: X`, `${getPlotData().ylabel}: Y`]
      .map(escapeHtml).join("<br>")
      .replace(/X(?=<br>)/, "%{x:.3~g}").replace(/Y$/, "%{y:.3~g}<extra></extra>"),
  });

  const restyleBand = ({hovertemplate, legend, ...band}) => ({
    ...band,
    hoverinfo: "skip",
    showlegend: false,
    fillcolor: band.line.color.replace(/,[^,]*\)$/, ", 0.18)"),
  });

  const crossAtEnd = (trace) => ({
    type: "scatter",
    mode: "markers",
    name: trace.name,
    showlegend: false,
    visible: trace.visible,
    x: trace.x.slice(-1),
    y: trace.y.slice(-1),
    marker: {symbol: "x", size: 13, color: trace.line.color},
    hovertemplate: `${escapeHtml(trace.name)}<extra></extra>`,
  });

  const restyle = (trace) => {
    if (trace.type !== "scatter" || !trace.line?.color) return [trace];
    if (trace.mode === "lines") return [restyleBand(trace)];
    const curve = curveOf(trace);
    if (!curve) return [trace];
    const restyled = restyleCurve(trace, curve);
    return curve.diverged ? [restyled, crossAtEnd(trace)] : [restyled];
  };

  const plotly = window.Plotly;
  const react = (div, traces, layout) => {
    const titled = {...layout, title: asTitle(layout.title)};
    for (const axis of ["xaxis", "yaxis"]) {
      titled[axis] = {...layout[axis], title: asTitle(layout[axis].title)};
    }
    // On a telephone the title's lines would run out of the figure.
    const font = {size: div.offsetWidth < 600 ? 11 : 16};
    titled.title = {...titled.title, font, x: 0.5, xanchor: "center"};
    return plotly.react(div, traces.flatMap(restyle), titled);
  };
  // Within a decade or two powers of ten are too few numbers on an axis.
  const relayout = (div, update) => {
    const finer = Object.entries(update).map(([key, value]) => {
      const axis = div._fullLayout[key.replace(".dtick", "")];
      const decades = axis?.range ? Math.abs(axis.range[1] - axis.range[0]) : Infinity;
      return [key, decades < 0.7 ? "D1" : decades < 1.5 ? "D2" : value];
    });
    return plotly.relayout(div, Object.fromEntries(finer));
  };

  // A table stands in the figure's place: there is nothing to fit into it then.
  const resize = async (div) => (div.offsetParent ? plotly.Plots.resize(div) : undefined);

  window.Plotly = Object.create(plotly, {
    react: {value: react},
    relayout: {value: relayout},
    Plots: {value: Object.create(plotly.Plots, {resize: {value: resize}})},
  });
}
