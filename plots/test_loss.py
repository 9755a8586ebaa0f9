from benchmark_bilevel.report.plots import CurvePlot


class Plot(CurvePlot):
    """Loss of the model z on the test samples."""

    name = "Test loss"
    metric = "test_loss"
