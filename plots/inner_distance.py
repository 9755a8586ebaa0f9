from benchmark_bilevel.report.plots import CurvePlot


class Plot(CurvePlot):
    """‖z − z*(x)‖: how well the inner problem is solved along the way."""

    name = "Inner distance"
    metric = "inner_distance"
