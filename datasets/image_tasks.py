from benchopt import BaseDataset

from benchmark_bilevel.data import MissingData
from benchmark_bilevel.data.image_tasks import load_image_tasks
from benchmark_bilevel.parameters import CheckedParameters, Integer


class Dataset(CheckedParameters, BaseDataset):
    """Few-shot classification of images of your own: mini-ImageNet, Omniglot, …

    Two files, ``train.npy`` and ``test.npy``, hold arrays of shape (classes, images of a
    class, height, width), with colours as a last axis if there are any; bytes are divided
    by 255. The classes of the second are for the tests. Defaults are the settings of the
    experiment on mini-ImageNet: 5 classes, 5 + 5 images of each, 84 × 84 pixels.

    Parameters
    ----------
    folder : str or None
        Of the two files; None is the folder ``image_tasks`` in the data home.
    n_ways : int
        Classes of a task.
    n_shots, n_queries : int
        Images of a class in the support and in the query.
    n_tasks, n_test_tasks : int
    seed : int

    References
    ----------
    R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level
    contraction: Optimal sample complexity without warm-start", JMLR 24, 2023, section
    7.2.
    """

    name = "image_tasks"
    parameters = {
        "folder": [None],
        "n_ways": [5],
        "n_shots": [5],
        "n_queries": [5],
        "n_tasks": [5000],
        "n_test_tasks": [100],
        "seed": [0],
    }
    ranges = {
        "n_ways": Integer(at_least=2),
        "n_shots": Integer(at_least=1),
        "n_queries": Integer(at_least=1),
        "n_tasks": Integer(at_least=2),
        "n_test_tasks": Integer(at_least=1),
        "seed": Integer(at_least=0),
    }

    def get_data(self):
        try:
            return load_image_tasks(**self._parameters)
        except MissingData as error:
            return {"missing": str(error)}
