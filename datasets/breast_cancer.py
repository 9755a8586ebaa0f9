from benchmark_bilevel.data.dataset import RealDataset


class Dataset(RealDataset):
    """Breast cancer Wisconsin (diagnostic), binary, 30 features, unscaled.

    The 569 samples that scikit-learn bundles (label 1 is benign): nothing to
    download, no test set. Licence: CC BY 4.0.

    References
    ----------
    W. N. Street, W. H. Wolberg and O. L. Mangasarian, "Nuclear feature extraction
    for breast tumor diagnosis", SPIE 1905, 1993.
    https://archive.ics.uci.edu/dataset/17
    """

    name = "breast_cancer"
