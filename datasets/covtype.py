from benchmark_bilevel.data.dataset import RealDataset


class Dataset(RealDataset):
    """Forest cover type, seven classes, 54 cartographic features.

    All 581,012 samples of UCI's file, ten integer columns and 44 of zeros and ones,
    unscaled, through scikit-learn. There is no test set. Licence: CC BY 4.0.

    References
    ----------
    J. A. Blackard and D. J. Dean, "Comparative accuracies of artificial neural
    networks and discriminant analysis in predicting forest cover types from
    cartographic variables", Computers and Electronics in Agriculture 24, 1999.
    https://archive.ics.uci.edu/dataset/31/covertype
    """

    name = "covtype"
