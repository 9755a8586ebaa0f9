// What a viewer consists of: its controls, the chart, the list of solvers.
window.viewerParts = (() => {
  const {element, marker} = window.chart;

  const make = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  const choice = (titles) => make("select", {}, ...Object.entries(titles).map(
    ([value, textContent]) => make("option", {value, textContent})));

  const controls = ({metrics, costs}) => {
    const titles = Object.entries(metrics).map(([name, {title}]) => [name, title]);
    const metric = choice(Object.fromEntries(titles));
    const cost = choice(costs);
    const box = () => make("input", {type: "checkbox"});
    const boxes = {logX: box(), logY: box(), bands: box()};
    const link = make("a", {textContent: "Link to this view"});
    const save = make("button", {type: "button", textContent: "Save as SVG"});
    const labelled = (text, control) => make("label", {}, text, control);
    const bar = make("div", {className: "viewer-controls"},
      labelled("Show ", metric), labelled("against ", cost),
      labelled("log x ", boxes.logX), labelled("log y ", boxes.logY),
      labelled("20–80 % ", boxes.bands), link, save);
    return {bar, metric, cost, boxes, link, save};
  };

  const chartFrame = (name, problem) => {
    const canvas = element("svg", {"aria-hidden": "true", "data-name": name});
    const tip = make("div", {className: "viewer-tip", hidden: true});
    const frame = make("div", {className: "viewer-chart", tabIndex: 0}, canvas, tip);
    frame.setAttribute("role", "application");
    frame.setAttribute("aria-label", `Curves on ${problem}: left and right arrows go along ` +
      "a curve, up and down arrows to another one");
    return {canvas, tip, frame};
  };

  // In the order of the table, under the headings of their groups.
  const solverList = (curves, groups) => {
    const lists = new Map();
    for (const curve of curves) {
      const group = groups[curve.group];
      if (!lists.has(group)) lists.set(group, make("ul", {}));
      lists.get(group).append(solver(curve));
    }
    return [...lists].map(([group, list]) => (
      make("details", {open: true}, make("summary", {textContent: group}), list)
    ));
  };

  const solver = ({label, solver: name, marker: symbol, color, note, parameters}) => {
    const sign = element("svg", {class: "sign", viewBox: "0 0 20 12", "aria-hidden": "true"},
      element("path", {d: "M0 6H20", stroke: color, "stroke-width": 2}),
      marker(symbol, 10, 6, 5, {fill: color}));
    const box = make("input", {type: "checkbox", value: label});
    const text = make("span", {}, name, make("small", {textContent: label.slice(name.length)}));
    if (note) text.append(make("span", {className: "diverged", textContent: ` ${note}`}));
    return make("li", {}, make("label", {title: parameters}, box, sign, text));
  };

  // All that a viewer shows in `place`, and those elements that it listens to.
  return (place, {problem, costs, metrics, groups, curves}, choices) => {
    const found = {...controls({metrics, costs}), ...chartFrame(place.dataset.name, problem)};
    found.readout = make("output", {className: "viewer-readout"});
    found.quick = choices.map((textContent) => make("button", {type: "button", textContent}));
    found.solvers = make("fieldset", {className: "viewer-solvers"},
      make("legend", {textContent: "Solvers"}), make("p", {}, ...found.quick),
      ...solverList(curves, groups));
    place.replaceChildren(found.bar,
      make("div", {className: "viewer-body"}, found.frame, found.solvers), found.readout);
    return found;
  };
})();
