"""Tasks of regression on sine waves of random amplitude and phase."""

import numpy as np


def sinusoid_tasks(n_tasks=2000, n_test_tasks=200, n_shots=10, seed=0):
    """Random sine waves, each with a support and a query of `n_shots` points.

    Inputs are uniform in [−5, 5], amplitudes in [0.1, 5], phases in [0, π]; inputs and
    targets are divided by 5.

    Returns
    -------
    dict
        ``support``, ``support_targets``, ``query``, ``query_targets``, of shape (tasks,
        shots, 1); the same for the tests with the prefix ``test_``.

    References
    ----------
    C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation of
    deep networks", ICML 2017.
    """
    generator = np.random.default_rng(seed)
    data = {}
    for prefix, n in (("", n_tasks), ("test_", n_test_tasks)):
        amplitude = generator.uniform(0.1, 5, (n, 1, 1))
        phase = generator.uniform(0, np.pi, (n, 1, 1))
        for part in ("support", "query"):
            inputs = generator.uniform(-5, 5, (n, n_shots, 1))
            data[prefix + part] = inputs / 5
            data[f"{prefix}{part}_targets"] = amplitude * np.sin(inputs - phase) / 5
    return data
