"""What each data set is, where it comes from and how its files are read.

Every ``read`` returns the four arrays of `benchmark_bilevel.data.load`. The libraries
that know a source are imported where they are used: a run that finds its files does
not pay for the others.
"""

import copy
import gzip
import io
from contextlib import redirect_stdout
from urllib.parse import urlsplit

import numpy as np

from . import cache, pickles
from .cache import Source, reason

IJCNN1 = ("ijcnn1", "ijcnn1_test")  # libsvmdata's names of the two files

COVTYPE = ("covertype/samples_py3", "covertype/targets_py3")

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}

FASHION_MNIST_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
# Of the files with the MD5 sums that the authors publish.
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    "train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
}

NEWSGROUPS = ("20news-bydate_py3.pkz", "20newsgroup_vectorized_py3.pkl")
NEWSGROUPS_TRAIN = 11_314  # documents of the train subset, which comes first


def _arrays(X_train, y_train, X_test=None, y_test=None):
    names = ("X_train", "y_train", "X_test", "y_test")
    return dict(zip(names, (X_train, y_train, X_test, y_test), strict=True))


def _read_ijcnn1(folder):
    arrays = []
    for name in IJCNN1:
        # libsvmdata stores X in Fortran order; labels are -1 and +1.
        arrays.append(np.ascontiguousarray(np.load(folder / f"{name}_X.npy")))
        arrays.append((np.load(folder / f"{name}_y.npy") > 0).astype(np.int64))
    return _arrays(*arrays)


def _download_ijcnn1(folder):
    from libsvmdata import ALL_DATASETS

    for name in IJCNN1:
        # A copy, because the folder is an attribute of an object that all users of
        # libsvmdata share (its environment variable is only read at import).
        dataset = copy.copy(ALL_DATASETS[name])
        dataset.dataset_dir = folder
        dataset.get_X_y(verbose=True)


def _read_covtype(folder):
    # As scikit-learn does, which would execute what is in the files.
    X, y = (pickles.load(folder / file) for file in COVTYPE)
    return _arrays(np.ascontiguousarray(X), y.astype(np.int64) - 1)


def _download_covtype(folder):
    from sklearn.datasets import fetch_covtype

    fetch_covtype(data_home=folder, n_retries=1, delay=cache.RETRY_DELAY)


def _newsgroups(folder, download):
    from sklearn.datasets import fetch_20newsgroups_vectorized

    # Of a damaged file scikit-learn prints several lines; the cache reports one.
    with redirect_stdout(io.StringIO()):
        return fetch_20newsgroups_vectorized(
            subset="all",
            data_home=folder,
            download_if_missing=download,
            return_X_y=True,
            n_retries=1,
            delay=cache.RETRY_DELAY,
        )


def _read_newsgroups(folder):
    X, y = _newsgroups(folder, download=False)
    y = y.astype(np.int64)
    n = NEWSGROUPS_TRAIN
    return _arrays(X[:n], y[:n], X[n:], y[n:])


def _download_newsgroups(folder):
    _newsgroups(folder, download=True)


def _read_idx(path):
    """Array in a gzipped IDX file of unsigned bytes."""
    content = gzip.decompress(path.read_bytes())
    magic, n_axes = content[:3], content[3]
    if magic != b"\0\0\x08":
        raise ValueError(f"{path.name} is not an IDX file of unsigned bytes")
    shape = np.frombuffer(content, ">u4", count=n_axes, offset=4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def _read_images(folder):
    """The four files of MNIST, whose names those of Fashion-MNIST have, too."""
    X_train, y_train, X_test, y_test = (_read_idx(folder / f) for f in MNIST_SHA256)
    return _arrays(
        X_train.reshape(len(X_train), -1),
        y_train.astype(np.int64),
        X_test.reshape(len(X_test), -1),
        y_test.astype(np.int64),
    )


def _download_mnist(folder):
    _download_from_mirrors(folder, MNIST_MIRRORS, MNIST_SHA256)


def _download_fashion_mnist(folder):
    _download_from_mirrors(folder, FASHION_MNIST_MIRRORS, FASHION_MNIST_SHA256)


def _download_from_mirrors(folder, mirrors, sha256_of_files):
    import pooch

    pooch.get_logger().setLevel("WARNING")
    for file, sha256 in sha256_of_files.items():
        errors = []
        for mirror in mirrors:
            try:
                pooch.retrieve(
                    mirror + file,
                    known_hash=sha256,
                    fname=file,
                    path=folder,
                    downloader=pooch.HTTPDownloader(
                        progressbar=True, timeout=cache.TIMEOUT
                    ),
                )
                break
            except Exception as error:  # whatever one mirror does, the next is tried
                errors.append(f"{urlsplit(mirror).netloc}: {reason(error, 120)}")
        else:
            raise ConnectionError("; ".join(errors))
        # pooch leaves it readable by its owner only, but data homes are shared.
        (folder / file).chmod(0o644)


def _read_digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return _arrays(np.ascontiguousarray(X), y.astype(np.int64))


def _read_breast_cancer():
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return _arrays(np.ascontiguousarray(X), y.astype(np.int64))


def _read_diabetes():
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True, scaled=False)
    return _arrays(np.ascontiguousarray(X), y.astype(float))


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="ijcnn1",
            folder="libsvm",
            files=tuple(f"{name}_{part}.npy" for name in IJCNN1 for part in "Xy"),
            origin="www.csie.ntu.edu.tw (4 MB)",
            read=_read_ijcnn1,
            download=_download_ijcnn1,
            digest="fea1948e3f4e9cf60cc46a537ae98383256f6df2ae11f54afdbb27293eb50038",
        ),
        Source(
            name="covtype",
            folder="scikit_learn",
            files=COVTYPE,
            origin="ndownloader.figshare.com (11 MB, then a minute of parsing)",
            read=_read_covtype,
            download=_download_covtype,
            digest="bbdb54a06e6fd3f01d52a1ee022a0568517be36084caf3499d2040df07292ef9",
        ),
        Source(
            name="20newsgroups",
            folder="scikit_learn",
            files=NEWSGROUPS,
            origin="ndownloader.figshare.com (14 MB, then 10 s of counting words)",
            read=_read_newsgroups,
            download=_download_newsgroups,
            digest="849b77e72b3f9dea84cd4465c5a03b4ade60c3137032f7a4f54d046eb10590ff",
            reusable=NEWSGROUPS[:1],
            executed=NEWSGROUPS,
        ),
        Source(
            name="mnist",
            folder="mnist",
            files=tuple(MNIST_SHA256),
            origin=f"{urlsplit(MNIST_MIRRORS[0]).netloc} (12 MB)",
            read=_read_images,
            download=_download_mnist,
            digest="759aac536be5579a28df28cae3cbed2210d59f40f629e1626cfe5e830cc29f6d",
            reusable=tuple(MNIST_SHA256),
        ),
        Source(
            name="fashion_mnist",
            folder="fashion_mnist",
            files=tuple(FASHION_MNIST_SHA256),
            origin=f"{urlsplit(FASHION_MNIST_MIRRORS[0]).netloc} (31 MB)",
            read=_read_images,
            download=_download_fashion_mnist,
            digest="1a17e1963ba236a16dba90fe18665e729c1660e50c6bf1016f316cd73a9eca7f",
            reusable=tuple(FASHION_MNIST_SHA256),
        ),
    )
}
BUNDLED = {
    "digits": _read_digits,
    "breast_cancer": _read_breast_cancer,
    "diabetes": _read_diabetes,
}
