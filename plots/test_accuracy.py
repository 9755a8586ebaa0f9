from benchmark_bilevel.report.plots import CurvePlot


class Plot(CurvePlot):
    """Accuracy of the model z on the test samples."""

    name = "Test accuracy"
    metric = "test_accuracy"
