from benchmark_bilevel.data.dataset import RealDataset


class Dataset(RealDataset):
    """Optical recognition of handwritten digits, ten classes, 64 features of 0 to 16.

    The 1,797 samples that scikit-learn bundles: nothing to download, no test set.
    Licence: CC BY 4.0.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Cascading classifiers", Kybernetika 34, 1998.
    https://archive.ics.uci.edu/dataset/80
    """

    name = "digits"
