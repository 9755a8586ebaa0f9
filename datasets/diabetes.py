from benchmark_bilevel.data.dataset import RealDataset


class Dataset(RealDataset):
    """Diabetes, a regression: its progression in a year, from ten features, unscaled.

    The 442 patients that scikit-learn bundles: age, sex, body mass index, blood
    pressure, six serum measurements. Nothing to download, no test set. Licence: none
    stated.

    References
    ----------
    B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, "Least angle regression",
    Annals of Statistics 32, 2004.
    """

    name = "diabetes"
