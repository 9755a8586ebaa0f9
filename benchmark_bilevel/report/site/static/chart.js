// Curves on an SVG element: scales, axes, bands, lines, markers, crosses.
window.chart = (() => {
  const DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const MARGIN = {left: 78, right: 14, top: 16, bottom: 46};
  // Polygons: corners, the angle of the first in degrees, inner radius of stars.
  const SHAPES = {
    o: [24, 0], s: [4, 45], D: [4, 0], "^": [3, -90], v: [3, 90], "<": [3, 180],
    ">": [3, 0], p: [5, -90], h: [6, -90], H: [6, 0], "8": [8, 22.5], "*": [5, -90, 0.45],
    P: [4, 0, 0.4], X: [4, 45, 0.35], d: [4, 0, 0.6],
  };

  const DASHES = {solid: "none", dash: "7 4", longdash: "12 4", dashdot: "7 3 2 3"};

  const element = (name, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const power = (exponent) =>
    "10" + String(exponent).replace(/./g, (sign) => DIGITS[sign] ?? "⁻");

  // Such as 0.29, 2.9·10⁻³, 120,000.
  const number = (value, digits = 3) => {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (Number.isInteger(value) && size < 1e7) return value.toLocaleString("en");
    const short = Number(value.toPrecision(digits));
    if (size >= 1e-2 && size < 1e5) return short.toLocaleString("en", {
      maximumSignificantDigits: digits,
    }).replace("-", "−");
    const [factor, exponent] = value.toExponential(digits - 1).split("e");
    return `${Number(factor)}·${power(Number(exponent))}`.replace(/^-/, "−");
  };

  const scale = (low, high, from, to, log) => {
    const map = log ? Math.log10 : (value) => value;
    const [start, span] = [map(low), map(high) - map(low)];
    // A logarithmic axis has no zero: a run's start is at its edge.
    const at = (value) =>
      log && value <= 0 ? from : from + ((map(value) - start) / span) * (to - from);
    return {at, low, high, log};
  };

  const linearTicks = (low, high, n) => {
    const rough = (high - low) / n;
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * size >= rough) * size;
    const first = Math.ceil(low / step - 1e-9);
    const last = Math.floor(high / step + 1e-9);
    const values = Array.from({length: last - first + 1}, (_, k) => (first + k) * step);
    // Enough digits to tell neighbours apart.
    const largest = Math.max(Math.abs(low), Math.abs(high));
    const digits = Math.max(3, Math.ceil(Math.log10(largest / step)) + 1);
    return values.map((value) => ({value, text: number(Number(value.toPrecision(12)), digits)}));
  };

  const ticks = ({low, high, log}, n) => {
    const decades = log ? Math.log10(high / low) : 0;
    if (decades < 0.7) return linearTicks(low, high, n);
    const factors = 3 * decades <= n ? [1, 2, 5] : 2 * decades <= n ? [1, 3] : [1];
    const every = Math.max(1, Math.ceil(decades / n));
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++) {
      if (e % every) continue;
      for (const factor of factors) {
        const value = factor * 10 ** e;
        if (value < low * 0.999 || value > high * 1.001) continue;
        found.push({value, text: factors.length === 1 ? power(e) : number(value, 1)});
      }
    }
    return found;
  };

  const marker = (symbol, x, y, radius, attributes) => {
    const [corners, first, inner] = SHAPES[symbol] ?? SHAPES.o;
    const points = [];
    const n = inner ? 2 * corners : corners;
    for (let k = 0; k < n; k++) {
      const angle = ((first + (360 * k) / n) * Math.PI) / 180;
      const r = inner && k % 2 ? inner * radius : radius;
      points.push(`${(x + r * Math.cos(angle)).toFixed(1)},${(y + r * Math.sin(angle)).toFixed(1)}`);
    }
    return element("polygon", {points: points.join(" "), ...attributes});
  };

  // A curve's start has no place on a logarithmic axis, and nothing is known of what is
  // between it and the first measurement: the way there is level, and dotted.
  const unknown = ([start, first]) => (first ? [start, [first[0], start[1]], first] : []);

  const path = (points) =>
    points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  // A little more than all values, which are positive where the scale is logarithmic.
  const padded = (low, high, log) => {
    if (log) {
      const room = Math.max((high / low) ** 0.04, 1.05);
      return [low / room, high * room];
    }
    const room = 0.04 * (high - low) || 0.5 * Math.abs(high) || 1;
    return [low - room, high + room];
  };

  // Where the first curve has moved by a tenth: before that there is nothing to see.
  const beginning = (curves) => {
    const moved = curves.map(({x, y}) =>
      x.find((_, k) => x[k] > 0 && Math.abs(y[k] - y[0]) > 0.1 * Math.abs(y[0])));
    const known = moved.filter((value) => value !== undefined);
    if (known.length) return Math.min(...known) / 2;
    return Math.min(...curves.flatMap(({x}) => x.filter((value) => value > 0)));
  };

  const ranges = (curves, {logX, logY}) => {
    const xs = curves.flatMap(({x, crosses}) => [...x, ...crosses]).filter(Number.isFinite);
    const ys = curves.flatMap(({y}) => y).filter((value) => !logY || value > 0);
    if (!xs.length || !ys.length) return null;
    const end = Math.max(...xs);
    const first = Math.min(...xs);
    const shown = first > 0 ? first / 1.1 : Math.min(beginning(curves), end / 10);
    const start = logX ? shown : Math.min(first, 0);
    return {x: [start, end * (logX ? 1.1 : 1.02)], y: padded(Math.min(...ys), Math.max(...ys), logY)};
  };

  const axes = (svg, x, y, {width, height}, titles) => {
    const text = {"font-size": 12, fill: "#3d444d"};
    const line = {stroke: "#d8dee4", "stroke-width": 1};
    const [left, right] = [MARGIN.left, width - MARGIN.right];
    const [top, bottom] = [MARGIN.top, height - MARGIN.bottom];
    for (const {value, text: label} of ticks(x, width < 500 ? 4 : 7)) {
      const place = x.at(value);
      svg.append(
        element("line", {x1: place, x2: place, y1: top, y2: bottom, ...line}),
        element("text", {x: place, y: bottom + 17, "text-anchor": "middle", ...text}, label),
      );
    }
    for (const {value, text: label} of ticks(y, 6)) {
      const place = y.at(value);
      svg.append(
        element("line", {x1: left, x2: right, y1: place, y2: place, ...line}),
        element("text", {x: left - 7, y: place + 4, "text-anchor": "end", ...text}, label),
      );
    }
    const middle = (top + bottom) / 2;
    svg.append(
      element("rect", {
        x: left, y: top, width: right - left, height: bottom - top,
        fill: "none", stroke: "#6e7781",
      }),
      element("text", {x: (left + right) / 2, y: height - 8, "text-anchor": "middle", ...text}, titles.x),
      element("text", {
        x: 0, y: 0, transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle", ...text,
      }, titles.y),
    );
  };

  // Crosses are at the top `edge`, those beyond the picture in its corner.
  const drawCurve = (layer, curve, x, y, {bands, faint}, edge) => {
    const stroke = {stroke: curve.color, fill: "none", "stroke-width": 2};
    stroke["stroke-dasharray"] = DASHES[curve.dash];
    const place = (values) => curve.x.map((_, k) => [x.at(curve.x[k]), y.at(values[k])]);
    const hasUnknown = x.log && curve.x[0] <= 0;
    const drawn = (points) => (hasUnknown ? points.slice(1) : points);
    const line = place(curve.y);
    const group = element("g", {opacity: faint ? 0.25 : 1});
    if (bands && curve.low && drawn(line).length) {
      const outline = [...drawn(place(curve.low)), ...drawn(place(curve.high)).reverse()];
      group.append(element("path", {d: `${path(outline)}Z`, fill: curve.color, "fill-opacity": 0.15}));
    }
    if (hasUnknown) {
      const dotted = {...stroke, "stroke-width": 1, "stroke-dasharray": "1 3"};
      group.append(element("path", {class: "unknown", d: path(unknown(line)), ...dotted}));
    }
    group.append(element("path", {d: path(drawn(line)), ...stroke}));
    line.forEach(([a, b], k) => {
      if (curve.marker && curve.x[k] > 0) group.append(marker(curve.marker, a, b, 3.5, {fill: curve.color}));
    });
    for (const value of curve.crosses) {
      const place = Math.min(x.at(value), edge.right);
      group.append(marker("X", place, edge.top, 7, {class: "cross", fill: curve.color}));
    }
    layer.append(group);
    return line;
  };

  // Draw `curves` (lists of numbers x, y, low, high, crosses) as big as the element is;
  // where their points are on it, a list for each curve.
  const draw = (svg, curves, {titles, logX, logY, bands, focus}) => {
    const size = {width: svg.clientWidth, height: svg.clientHeight};
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    if (!size.width) return []; // no place on the page yet
    const range = ranges(curves, {logX, logY});
    if (!range) {
      svg.append(element("text", {x: MARGIN.left, y: 40, fill: "#3d444d"}, "Nothing to draw."));
      return [];
    }
    const [right, bottom] = [size.width - MARGIN.right, size.height - MARGIN.bottom];
    const along = scale(...range.x, MARGIN.left, right, logX);
    // What is before the range is at its edge: curves start there, level.
    const x = {...along, at: (value) => Math.max(MARGIN.left, along.at(value))};
    const up = scale(...range.y, bottom, MARGIN.top, logY);
    const y = {...up, at: (value) => Math.max(-size.height, up.at(value))};
    axes(svg, x, y, size, titles);
    const name = `inside-${svg.dataset.name}`;
    svg.append(element("clipPath", {id: name}, element("rect", {
      x: MARGIN.left - 5, y: MARGIN.top - 8,
      width: right - MARGIN.left + 10, height: bottom - MARGIN.top + 13,
    })));
    const layer = element("g", {"clip-path": `url(#${name})`});
    svg.append(layer);
    return curves.map((curve) => {
      const faint = focus !== null && focus !== curve.label;
      return drawCurve(layer, curve, x, y, {bands, faint}, {top: MARGIN.top, right});
    });
  };

  // Let a person save what is drawn.
  const save = (svg, name) => {
    const text = new XMLSerializer().serializeToString(svg);
    const href = URL.createObjectURL(new Blob([text], {type: "image/svg+xml"}));
    Object.assign(document.createElement("a"), {href, download: `${name}.svg`}).click();
    URL.revokeObjectURL(href);
  };

  return {draw, element, marker, number, save};
})();
