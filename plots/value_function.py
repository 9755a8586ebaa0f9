from benchmark_bilevel.report.plots import CurvePlot


class Plot(CurvePlot):
    """h(x), for problems without a reference minimum too."""

    name = "Value function"
    metric = "value"
