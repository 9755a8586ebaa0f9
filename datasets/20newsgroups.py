from benchmark_bilevel.data.dataset import RealDataset


class Dataset(RealDataset):
    """20 Newsgroups, by-date version, 20 classes, 130,107 words.

    Word counts of 11,314 training and 7,532 test posts, each row of unit Euclidean
    norm, sparse, as scikit-learn's ``fetch_20newsgroups_vectorized`` makes them.
    Licence: CC BY 4.0 according to UCI, none stated by the collector.

    References
    ----------
    K. Lang, "NewsWeeder: learning to filter netnews", ICML 1995; by-date version by
    J. Rennie, http://qwone.com/~jason/20Newsgroups/
    """

    name = "20newsgroups"
