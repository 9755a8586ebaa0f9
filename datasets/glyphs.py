import click
from benchopt import BaseDataset

from benchmark_bilevel.data.glyphs import STYLES, draw_tasks, glyphs
from benchmark_bilevel.parameters import CheckedParameters, Integer


class Dataset(CheckedParameters, BaseDataset):
    """Few-shot classification of characters of fonts, in the spirit of Omniglot.

    Letters and digits of several scripts, each in the twelve styles of the fonts that
    come with matplotlib, 28 × 28 pixels, each image under a random affine map of its
    own: rotation ±20°, scale 0.8 to 1.2, shear ±0.2, shift ±3 pixels. A third of the
    characters is for the tests. Figures on Omniglot are no comparison. Nothing to
    download; the fonts are free (Bitstream Vera and DejaVu licences).

    Parameters
    ----------
    n_ways : int
        Characters of a task.
    n_shots, n_queries : int
        Images of a character in the support and in the query.
    n_tasks, n_test_tasks : int
    seed : int
    """

    name = "glyphs"
    parameters = {
        "n_ways": [20],
        "n_shots": [1],
        "n_queries": [2],
        "n_tasks": [5000],
        "n_test_tasks": [100],
        "seed": [0],
    }
    ranges = {
        "n_ways": Integer(at_least=2, at_most=100),
        "n_shots": Integer(at_least=1),
        "n_queries": Integer(at_least=1),
        "n_tasks": Integer(at_least=2),
        "n_test_tasks": Integer(at_least=1),
        "seed": Integer(at_least=0),
    }

    @classmethod
    def get_instance(cls, **parameters):
        dataset = super().get_instance(**parameters)
        n = dataset.n_shots + dataset.n_queries
        if n > len(STYLES):
            raise click.UsageError(
                f"{cls.name}: n_shots + n_queries = {n}; a character has {len(STYLES)} "
                "images."
            )
        return dataset

    def get_data(self):
        return draw_tasks(glyphs(), **self._parameters)
