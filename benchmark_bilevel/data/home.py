"""Where the data live."""

import os
from pathlib import Path


def data_home():
    """Folder of the data: benchopt's ``data_home`` setting.

    It is the environment variable ``BENCHOPT_DATA_HOME``, else ``data_home`` in the
    benchmark's ``config.yml``, else the folder ``data`` of the benchmark. Outside of
    a benchopt run the benchmark is that of `benchmark_folder`.

    Returns
    -------
    pathlib.Path
        Absolute path; the folder need not exist.
    """
    # benchopt takes half a second to import, and a run has done it already.
    from benchopt.benchmark import get_running_benchmark
    from benchopt.config import get_data_path, get_setting

    from benchmark_bilevel.folders import benchmark_folder

    if get_running_benchmark() is not None:
        return get_data_path()
    folder = benchmark_folder()
    home = get_setting(
        "data_home",
        config_file=folder / "config.yml",
        benchmark_name="benchmark_bilevel",
    )
    home = folder / "data" if home is None else Path(os.path.expandvars(home))
    return home.expanduser().resolve()
