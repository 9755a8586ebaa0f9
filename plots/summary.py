from benchmark_bilevel.report.plots import SummaryPlot


class Plot(SummaryPlot):
    """Values at the end and costs of the targets."""

    name = "Summary"
