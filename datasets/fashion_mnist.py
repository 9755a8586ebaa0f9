from benchmark_bilevel.data.dataset import RealDataset


class Dataset(RealDataset):
    """Fashion-MNIST, articles of clothing, ten classes, 784 pixels of 0 to 255.

    The original files, 60,000 training and 10,000 test images, as unsigned bytes; each
    class has as many of them. Copies from mirrors are checked by SHA-256. Licence: MIT,
    Zalando SE.

    References
    ----------
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for
    benchmarking machine learning algorithms", arXiv:1708.07747, 2017.
    https://github.com/zalandoresearch/fashion-mnist
    """

    name = "fashion_mnist"
