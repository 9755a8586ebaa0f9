from benchmark_bilevel.report.plots import ProfilePlot


class Plot(ProfilePlot):
    """Share of runs solved within a factor of the fastest solver."""

    name = "Performance profile"
