from benchopt import BaseDataset

from benchmark_bilevel.data.glyphs import draw_tasks, glyphs
from benchmark_bilevel.parameters import CheckedParameters, Integer


class Dataset(CheckedParameters, BaseDataset):
    """Tasks of telling characters of fonts apart, in the spirit of Omniglot.

    Letters and digits that twelve styles of the DejaVu fonts have in common, a class each
    with twelve images of 28 × 28 pixels, every image turned, scaled, sheared and shifted
    by a fixed random affine map. Two thirds of the classes serve training, the rest test
    tasks. The fonts come with matplotlib; nothing is downloaded.

    Parameters
    ----------
    n_ways : int
        Classes of a task.
    n_shots, n_queries : int
        Images of a class in the support and in the query.
    n_tasks, n_test_tasks : int
    seed : int
    """

    name = "glyphs"
    parameters = {
        "n_ways": [20],
        "n_shots": [1],
        "n_queries": [5],
        "n_tasks": [5000],
        "n_test_tasks": [100],
        "seed": [0],
    }
    ranges = {
        "n_ways": Integer(at_least=2, at_most=96),
        "n_shots": Integer(at_least=1, at_most=11),
        "n_queries": Integer(at_least=1, at_most=11),
        "n_tasks": Integer(at_least=2),
        "n_test_tasks": Integer(at_least=1),
        "seed": Integer(at_least=0),
    }

    def get_data(self):
        return draw_tasks(glyphs(), **self._parameters)
