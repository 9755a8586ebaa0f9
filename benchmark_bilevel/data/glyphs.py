"""Characters of matplotlib's fonts as images, and few-shot tasks made of them."""

import unicodedata
from functools import lru_cache
from pathlib import Path

import numpy as np

STYLES = [
    f"DejaVu{family}{style}.ttf"
    for family, plain, slanted in (
        ("Sans", "", "Oblique"),
        ("SansMono", "", "Oblique"),
        ("Serif", "", "Italic"),
    )
    for style in (
        plain,
        f"-{slanted}",
        "-Bold",
        f"-Bold{slanted}",
    )
]
SIDE = 28  # pixels
MAP_SEED = 0  # of the affine maps, which are part of the data set


@lru_cache(maxsize=1)
def glyphs():
    """The images, shape (classes, styles, 28, 28), float32 in [0, 1], read-only."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    folder = Path(get_data_path(), "fonts", "ttf")
    paths = [folder / name for name in STYLES]
    characters = _common_characters(paths)
    fonts = [ImageFont.truetype(path, 2 * SIDE) for path in paths]
    upright = np.array([[_draw(c, font) for font in fonts] for c in characters])
    # Some characters (Latin A, Greek Α, Cyrillic А) are one image: they are one class.
    _, first = np.unique(upright.reshape(len(upright), -1), axis=0, return_index=True)
    images = _mapped(upright[np.sort(first)])
    images.setflags(write=False)
    return images


def _common_characters(paths):
    """Letters and digits without accents that all fonts have, in order."""
    from matplotlib.ft2font import FT2Font

    common = set.intersection(*(set(FT2Font(str(p)).get_charmap()) for p in paths))
    return [
        chr(code)
        for code in sorted(common)
        if unicodedata.category(chr(code)) in ("Lu", "Ll", "Lo", "Nd")
        and not unicodedata.decomposition(chr(code))
    ]


def _draw(character, font):
    """A character in the middle of an image, twice as large as it will be."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (3 * SIDE, 3 * SIDE))
    ImageDraw.Draw(image).text(
        (1.5 * SIDE, 1.5 * SIDE), character, fill=255, font=font, anchor="mm"
    )
    return np.asarray(image, np.uint8)


def _mapped(upright):
    """Each image under an affine map of its own, brought to its final size."""
    from scipy.ndimage import affine_transform

    generator = np.random.default_rng(MAP_SEED)
    images = np.empty((*upright.shape[:2], SIDE, SIDE), np.float32)
    middle = 1.5 * SIDE
    for index in np.ndindex(upright.shape[:2]):
        angle = np.deg2rad(generator.uniform(-20, 20))
        shear, scale = generator.uniform(-0.2, 0.2), generator.uniform(0.8, 1.2)
        shift = generator.uniform(-3, 3, 2)
        rotation = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = 2.0 / scale * np.array(rotation) @ [[1, shear], [0, 1]]
        offset = middle - matrix @ (SIDE / 2 + shift)
        images[index] = affine_transform(
            upright[index].astype(np.float32) / 255,
            matrix,
            offset,
            (SIDE, SIDE),
            order=1,
        )
    return images


def draw_tasks(
    images, n_ways, n_shots, n_queries, n_tasks, n_test_tasks, seed, n_test_classes=None
):
    """Random tasks on classes of images, those of the tests being of other classes.

    Parameters
    ----------
    images : array of shape (classes, images of a class, height, width, …)
        `n_shots` + `n_queries` of a class or more.
    n_ways, n_shots, n_queries, n_tasks, n_test_tasks, seed : int
    n_test_classes : int, optional
        The last so many classes are those of the tests; a random third if left out.

    Returns
    -------
    dict
        ``images`` (all images, height, width, …); ``support`` and ``query``, indices of
        images (tasks, rows); ``support_targets`` and ``query_targets``, labels of the
        same shapes; the same for the tests with the prefix ``test_``.
    """
    generator = np.random.default_rng(seed)
    n_classes, n_images = images.shape[:2]
    classes = np.arange(n_classes)
    if n_test_classes is None:
        classes, n_test_classes = generator.permutation(n_classes), n_classes // 3
    training, test = np.split(classes, [n_classes - n_test_classes])
    parts = {"": (training, n_tasks), "test_": (test, n_test_tasks)}
    data = {"images": images.reshape(-1, *images.shape[2:])}
    for prefix, (classes, n) in parts.items():
        for name, indices in zip(
            ("support", "query"),
            _draw_indices(generator, classes, n_images, n_ways, n_shots, n_queries, n),
            strict=True,
        ):
            labels = np.repeat(np.arange(n_ways), indices.shape[1] // n_ways)
            data[f"{prefix}{name}"] = indices
            data[f"{prefix}{name}_targets"] = np.tile(labels, (n, 1))
    return data


def _draw_indices(generator, classes, n_images, n_ways, n_shots, n_queries, n_tasks):
    """Indices of the images of the support and of the query, (tasks, rows) each."""
    drawn = np.array([generator.permutation(classes)[:n_ways] for _ in range(n_tasks)])
    n = n_shots + n_queries
    chosen = [  # a task at a time: of real images there are hundreds in a class
        generator.random((n_ways, n_images)).argsort(axis=1)[:, :n]
        for _ in range(n_tasks)
    ]
    images = drawn[:, :, None] * n_images + chosen
    support, query = images[:, :, :n_shots], images[:, :, n_shots:]
    return support.reshape(n_tasks, -1), query.reshape(n_tasks, -1)
