from importlib.util import find_spec

import numpy as np

from benchmark_bilevel.exact.feasible import projected
from benchmark_bilevel.exact_solver import BoxSearch


class Solver(BoxSearch):
    """TPE on h: Optuna's tree-structured Parzen estimator, each entry of x on its own.

    Its first point is x0, moved into the box. For up to 1,000 numbers in x.

    References
    ----------
    J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, "Algorithms for hyper-parameter
    optimization", NeurIPS 2011; T. Akiba, S. Sano, T. Yanase, T. Ohta, M. Koyama,
    "Optuna: A next-generation hyperparameter optimization framework", KDD 2019. The
    box is ours.
    """

    name = "TPE"
    requirements = ["pip::optuna"]

    def lack(self, problem):
        if find_spec("optuna") is None:
            return "TPE needs Optuna: pip install optuna"
        if problem.dim_x > 1000:
            return f"TPE takes up to 1,000 numbers in x; here there are {problem.dim_x}"
        return super().lack(problem)

    def minimise(self, evaluate, x):
        import optuna  # takes a second

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        box = self.box(self.problem)
        space = {
            f"x{j}": optuna.distributions.FloatDistribution(*edges)
            for j, edges in enumerate(np.transpose(box).tolist())
        }
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.seed))
        study.enqueue_trial(dict(zip(space, x.clip(*box).tolist(), strict=True)))
        while True:
            trial = study.ask(space)
            point = np.array([trial.params[name] for name in space])
            study.tell(trial, evaluate(projected(self.problem, point)).value)
