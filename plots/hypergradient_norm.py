from benchmark_bilevel.report.plots import CurvePlot


class Plot(CurvePlot):
    """‖∇h(x)‖, or the norm of the projected-gradient map where x is constrained."""

    name = "Hypergradient norm"
    metric = "hypergradient_norm"
