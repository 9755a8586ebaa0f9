from benchmark_bilevel.report.plots import SensitivityPlot


class Plot(SensitivityPlot):
    """Final suboptimality against the step size."""

    name = "Step size"
