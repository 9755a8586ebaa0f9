// A viewer: what is chosen, how it is drawn, what the pointer and the keys do.
window.Viewer = (() => {
  const BEST = 10;
  const {draw, element, number, save} = window.chart;
  const UNITS = {seconds: "s", "oracle calls": "calls", iterations: "iterations"};

  return class {
    constructor(place, content) {
      Object.assign(this, content); // problem, costs, metrics, lists, curves
      this.name = place.dataset.name;
      this.labels = this.curves.map(({label}) => label);
      // Each solver with its best parameters: the first of its curves.
      const first = ({solver}, k) => this.curves.findIndex((own) => own.solver === solver) === k;
      this.best = this.curves.filter(first).slice(0, BEST).map(({label}) => label);
      this.parts = window.viewerParts(place, content, [`Best ${BEST}`, "All", "None"]);
      this.focus = null; // {curve, point}: indices into what is drawn
      this.set(new URLSearchParams());
      this.listen();
      new ResizeObserver(() => this.redraw()).observe(this.parts.canvas);
    }

    // From a permalink; what it does not say is as at the start.
    set(wanted) {
      const known = (key, among) => (
        wanted.get(key) in among ? wanted.get(key) : Object.keys(among)[0]
      );
      this.metric = known("metric", this.metrics);
      this.cost = known("cost", this.costs);
      const scales = wanted.get("scale")?.split(",");
      this.logX = scales ? scales[0] === "log" : true;
      this.logY = scales ? scales[1] === "log" : this.metrics[this.metric].log;
      this.bands = wanted.get("bands") !== "off";
      this.show(wanted.has("curve") ? wanted.getAll("curve") : this.best);
      this.refresh();
    }

    show(labels) {
      this.shown = new Set(this.labels.filter((label) => labels.includes(label)));
    }

    permalink() {
      const found = new URLSearchParams({
        curves: this.name,
        metric: this.metric,
        cost: this.cost,
        scale: [this.logX, this.logY].map((log) => (log ? "log" : "linear")).join(),
        bands: this.bands ? "on" : "off",
      });
      const shown = [...this.shown];
      if (shown.join() !== this.best.join()) {
        for (const label of shown.length ? shown : [""]) found.append("curve", label);
      }
      return `#${found}`;
    }

    // --- what a person does ------------------------------------------------------------

    listen() {
      const {metric, cost, boxes, quick, solvers, save, frame} = this.parts;
      const on = (part, event, action) => (
        part.addEventListener(event, () => this.change(() => action(part)))
      );
      on(metric, "change", ({value}) => {
        this.metric = value;
        this.logY = this.metrics[value].log;
      });
      on(cost, "change", ({value}) => (this.cost = value));
      for (const key of Object.keys(boxes)) {
        on(boxes[key], "change", ({checked}) => (this[key] = checked));
      }
      [this.best, this.labels, []].forEach((labels, k) => (
        on(quick[k], "click", () => this.show(labels))
      ));
      const checked = () => [...solvers.querySelectorAll("input:checked")];
      for (const box of solvers.querySelectorAll("input")) {
        on(box, "change", () => this.show(checked().map(({value}) => value)));
        const label = box.parentElement;
        label.addEventListener("pointerenter", () => this.redraw(box.value));
        label.addEventListener("pointerleave", () => this.redraw());
        box.addEventListener("focus", () => this.redraw(box.value));
        box.addEventListener("blur", () => this.redraw());
      }
      save.addEventListener("click", () => this.download());
      frame.addEventListener("pointermove", (event) => this.point(event));
      frame.addEventListener("pointerdown", (event) => this.point(event));
      // A finger leaves when it is lifted: what it has pointed at stays to be read.
      frame.addEventListener("pointerleave", ({pointerType}) => {
        if (pointerType === "mouse") this.select(null);
      });
      frame.addEventListener("blur", () => this.select(null));
      frame.addEventListener("keydown", (event) => {
        if (this.press(event.key)) event.preventDefault();
      });
    }

    change(action) {
      action();
      this.refresh();
      history.replaceState(null, "", this.permalink());
    }

    point({clientX, clientY}) {
      const {left, top} = this.parts.canvas.getBoundingClientRect();
      let [nearest, least] = [null, 40 ** 2];
      this.places.forEach((line, curve) => line.forEach(([x, y], point) => {
        const distance = (x - clientX + left) ** 2 + (y - clientY + top) ** 2;
        if (distance < least) [nearest, least] = [{curve, point}, distance];
      }));
      this.select(nearest);
    }

    // Whether `key` means something here.
    press(key) {
      const n = this.drawn.length;
      if (!n) return false;
      const {curve, point} = this.focus ?? {curve: 0, point: -1};
      const last = (k) => this.drawn[k].x.length - 1;
      const at = (k, wanted) => ({curve: k, point: Math.min(Math.max(wanted, 0), last(k))});
      const moves = {
        ArrowRight: () => at(curve, point + 1),
        ArrowLeft: () => at(curve, point - 1),
        ArrowDown: () => at((curve + 1) % n, point),
        ArrowUp: () => at((curve + n - 1) % n, point),
        Home: () => at(curve, 0),
        End: () => at(curve, last(curve)),
        Escape: () => null,
      };
      if (key in moves) this.select(moves[key]());
      return key in moves;
    }

    // --- what is seen ------------------------------------------------------------------

    refresh() {
      const {metric, cost, boxes, solvers, link} = this.parts;
      this.focus = null;
      metric.value = this.metric;
      cost.value = this.cost;
      for (const [key, box] of Object.entries(boxes)) box.checked = this[key];
      for (const box of solvers.querySelectorAll("input")) {
        box.checked = this.shown.has(box.value);
      }
      link.href = this.permalink();
      this.redraw();
      this.say();
    }

    // The chosen metric of a curve where it is known, against the chosen cost.
    measured({drawn, crosses, ...curve}) {
      const names = Object.keys(this.costs);
      const own = Object.fromEntries(names.map((name, k) => [name, drawn[this.metric]?.[k]])
        .filter(([, lists]) => lists));
      if (!own[this.cost]) return {...curve, x: []};
      const [x, y, low, high] = own[this.cost].map((k) => this.lists[k]);
      // Where the points are the same, they have their other costs, too.
      const others = Object.entries(own).filter(([name, lists]) => (
        name !== this.cost && lists[1] === own[this.cost][1]
      ));
      const costs = [[this.cost, x], ...others.map(([name, [k]]) => [name, this.lists[k]])];
      const diverged = this.lists[crosses[names.indexOf(this.cost)]];
      return {...curve, x, y, low, high, costs, crosses: diverged};
    }

    redraw(highlighted = null) {
      this.drawn = this.curves.filter(({label}) => this.shown.has(label))
        .map((curve) => this.measured(curve)).filter(({x}) => x.length);
      const {title, better} = this.metrics[this.metric];
      this.places = draw(this.parts.canvas, this.drawn, {
        titles: {x: this.costs[this.cost], y: `${title}   ${better} better`},
        logX: this.logX,
        logY: this.logY,
        bands: this.bands,
        focus: this.shown.has(highlighted) ? highlighted : null,
      });
      this.mark();
    }

    select(focus) {
      this.focus = focus;
      this.mark();
      this.say();
    }

    mark() {
      const {canvas, tip} = this.parts;
      canvas.querySelector(".mark")?.remove();
      tip.hidden = !this.focus || !this.places.length;
      if (tip.hidden) return;
      const [x, y] = this.places[this.focus.curve][this.focus.point];
      canvas.append(element("circle", {
        class: "mark", cx: x, cy: y, r: 8, fill: "none", stroke: "#1f2328", "stroke-width": 2,
      }));
      tip.textContent = this.sentence();
      const width = canvas.clientWidth;
      tip.style.left = x > width / 2 ? "auto" : `${x + 14}px`;
      tip.style.right = x > width / 2 ? `${width - x + 14}px` : "auto";
      tip.style.top = `${Math.max(0, y - 20)}px`;
    }

    say() {
      this.parts.readout.textContent = this.focus
        ? [this.sentence(), this.drawn[this.focus.curve].parameters].filter(Boolean).join(" · ")
        : `${this.drawn.length} of ${this.curves.length} curves: medians where the runs ` +
          "were evaluated.";
    }

    // Such as "SABA · 6.93 s · suboptimality h(x) − h* = 2.9·10⁻³ · 1.4·10⁶ calls".
    sentence() {
      const {label, note, costs, y, low, high} = this.drawn[this.focus.curve];
      const k = this.focus.point;
      const [first, ...others] = costs.map(
        ([name, list]) => `${number(list[k])} ${UNITS[name]}`);
      const band = this.bands ? ` (${number(low[k], 15)} to ${number(high[k], 15)})` : "";
      const value = `${this.metrics[this.metric].title} = ${number(y[k], 15)}${band}`;
      return [note ? `${label}, ${note}` : label, first, value, ...others].join(" · ");
    }

    download() {
      this.select(null);
      save(this.parts.canvas, `${this.name}-${this.metric}`);
    }
  };
})();
