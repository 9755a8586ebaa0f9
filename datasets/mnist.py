from benchmark_bilevel.data.dataset import RealDataset


class Dataset(RealDataset):
    """MNIST, handwritten digits, ten classes, 784 pixels of 0 to 255.

    The original files, 60,000 training and 10,000 test images, as unsigned bytes,
    from mirrors whose copies are checked by SHA-256. Licence: CC BY-SA 3.0.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied
    to document recognition", Proceedings of the IEEE 86, 1998.
    """

    name = "mnist"
