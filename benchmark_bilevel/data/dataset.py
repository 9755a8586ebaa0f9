"""What the benchopt plugins of the real data sets have in common."""

from benchopt import BaseDataset

from . import MissingData, fetch, load


class RealDataset(BaseDataset):
    """A data set that is known to `benchmark_bilevel.data` under the plugin's name."""

    prepare_cache_ignore = "all"

    def prepare(self):
        """Fetch and verify the files, whatever the seed."""
        fetch(self.name)

    def get_data(self):
        """Raw arrays of `load`, nothing split or scaled: the problem does that.

        Data that cannot be had are no error: ``missing`` then holds the line that
        the objective gives as its reason to skip, and other cells run.
        """
        try:
            return load(self.name)
        except MissingData as error:
            return {"missing": str(error)}
