from benchmark_bilevel.report.plots import CurvePlot


class Plot(CurvePlot):
    """h(x) − h* against seconds and oracle calls."""

    name = "Suboptimality"
    metric = "suboptimality"
