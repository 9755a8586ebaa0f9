from benchmark_bilevel.report.plots import DistributionPlot


class Plot(DistributionPlot):
    """Share of (problem, run, target) reached within a cost."""

    name = "Targets reached"
