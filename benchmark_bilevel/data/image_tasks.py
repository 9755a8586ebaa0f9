"""Few-shot tasks of a user's own images: mini-ImageNet, Omniglot, …"""

from pathlib import Path

import numpy as np

from .cache import MissingData, reason
from .glyphs import draw_tasks
from .home import data_home

FOLDER = "image_tasks"


def load_image_tasks(folder, n_ways, n_shots, n_queries, **settings):
    """Random tasks on the images of ``train.npy`` and, for the tests, of ``test.npy``.

    Parameters
    ----------
    folder : str or None
        None is `FOLDER` in the data home.
    n_ways, n_shots, n_queries : int
    **settings
        As for `draw_tasks`, whose result this is.

    Raises
    ------
    MissingData
        If these are no arrays of images, or too few, in one line.
    """
    folder = data_home() / FOLDER if folder is None else Path(folder).expanduser()
    parts = [_images(folder / f"{part}.npy") for part in ("train", "test")]
    for path, images in parts:
        needed = {"classes": n_ways, "images of a class": n_shots + n_queries}
        for (what, n), there in zip(needed.items(), images.shape, strict=False):
            if there < n:
                raise MissingData(f"{path} has {there} {what}, and tasks need {n}")
    (_, training), (path, test) = parts
    if training.shape[1:] != test.shape[1:] or training.dtype != test.dtype:
        raise MissingData(
            f"{path} has the shape {test.shape} of {test.dtype}, train.npy "
            f"{training.shape} of {training.dtype}: all but the classes have to agree"
        )
    images = np.concatenate([training, test])
    return draw_tasks(
        images, n_ways, n_shots, n_queries, **settings, n_test_classes=len(test)
    )


def _images(path):
    """The path and the array that it holds."""
    try:
        images = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise MissingData(
            f"{path} has to hold an array of images (classes, images of a class, "
            f"height, width) or with colours last: {reason(error)}"
        ) from None
    if getattr(images, "ndim", 0) not in (4, 5):
        raise MissingData(
            f"{path} has the shape {np.shape(images)}, not (classes, images of a class, "
            "height, width) or with colours last"
        )
    return path, images
