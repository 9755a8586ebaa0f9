from benchopt import BasePlot


class Plot(BasePlot):
    name = "suboptimality"
    type = "scatter"
    options = {"dataset": ..., "objective": ...}

    def plot(self, df, dataset, objective):
        df = df.query("dataset_name == @dataset and objective_name == @objective")
        traces = []
        for name, runs in df.groupby("solver_name"):
            points = runs.groupby("stop_val")
            low, median, high = (
                points["objective_suboptimality"].quantile(q).tolist()
                for q in (0.2, 0.5, 0.8)
            )
            traces.append(
                {
                    "x": points["time"].median().tolist(),
                    "y": median,
                    "y_low": low,
                    "y_high": high,
                    "label": name.split("[")[0],
                    **self.get_style(name),
                }
            )
        return traces

    def get_metadata(self, df, dataset, objective):
        return {
            "title": f"{objective}\n{dataset}",
            "xlabel": "Time [s]",
            "ylabel": "h(x) − h*",
            "scale": "loglog",
        }
