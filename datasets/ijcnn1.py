from benchmark_bilevel.data.dataset import RealDataset


class Dataset(RealDataset):
    """IJCNN1, binary classification of 22 features in [-1.33, 1.32].

    Training file of 49,990 samples (4,853 positive), test file of 91,701 (8,712), as
    LIBSVM serves them. No licence is stated.

    References
    ----------
    D. Prokhorov, "IJCNN 2001 neural network competition", 2001; features by
    C.-C. Chang and C.-J. Lin, "IJCNN 2001 challenge: generalization ability and text
    decoding", IJCNN 2001.
    https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary.html#ijcnn1
    """

    name = "ijcnn1"
