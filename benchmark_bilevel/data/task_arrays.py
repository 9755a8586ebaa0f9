"""The gate for tasks: regressions that share a point, and few-shot learning."""

import numpy as np

from . import arrays as forms
from .arrays import Inadmissible

RIDGE_TASKS = ("task_A", "task_y", "task_A_outer", "task_y_outer")
FEW_SHOT_TASKS = tuple(
    f"{prefix}{part}{suffix}"
    for prefix in ("", "test_")
    for part in ("support", "query")
    for suffix in ("", "_targets")
)


def ridge_tasks(arrays):
    """The arrays of `RIDGE_TASKS`, float64, of shapes (tasks, samples, features)."""
    found = {
        name: forms.numbers(name, array, 3 if "A" in name else 2)
        for name, array in arrays.items()
    }
    n_tasks, _, dim = found["task_A"].shape
    for suffix in ("", "_outer"):
        A, y = (f"task_{name}{suffix}" for name in "Ay")
        n = found[A].shape[1]
        for name, shape in ((A, (n_tasks, n, dim)), (y, (n_tasks, n))):
            _expect_shape(name, found[name], shape, "as task_A has tasks and features")
    _refuse_one_task("task_A", n_tasks)
    return found


def few_shot_tasks(arrays):
    """The arrays of `FEW_SHOT_TASKS`, and ``images`` if the tasks hold indices of some.

    Without images inputs and targets are float64, (tasks, rows, features) and (tasks,
    rows, 1); with them int64, (tasks, rows), the targets being classes 0, …, K − 1.
    """
    of_images = "images" in arrays
    found = {
        name: _integers(name, arrays[name])
        if of_images
        else forms.numbers(name, arrays[name], 3)
        for name in FEW_SHOT_TASKS
    }
    for prefix in ("", "test_"):
        n_tasks = len(found[f"{prefix}support"])
        for part in ("support", "query"):
            inputs, targets = f"{prefix}{part}", f"{prefix}{part}_targets"
            rows = found[inputs].shape[1]
            ends = ((), ()) if of_images else (found["support"].shape[2:], (1,))
            for name, end in zip((inputs, targets), ends, strict=True):
                shape = (n_tasks, rows, *end)
                _expect_shape(name, found[name], shape, f"as {prefix}support begins")
    _refuse_one_task("support", len(found["support"]))
    if of_images:
        found["images"] = _images(arrays["images"])
        _refuse_foreign(found)
        _refuse_single_pixels(found)
    return found


def _expect_shape(name, array, shape, why):
    if array.shape != shape:
        raise Inadmissible(f"{name} has the shape {array.shape}, not {shape}, {why}")


def _refuse_one_task(name, n_tasks):
    if n_tasks < 2:
        raise Inadmissible(f"{name} has one task only: two are the fewest")


def _integers(name, values):
    array = forms.numbers(name, values, 2)
    if (array != np.floor(array)).any() or array.min() < 0:
        raise Inadmissible(f"{name} holds other numbers than 0, 1, 2, …")
    return array.astype(np.int64)


def _images(images):
    """Images (n, height, width) or (n, height, width, channels): uint8 or float32."""
    if np.ndim(images) == 0:
        raise Inadmissible(f"images is {type(images).__name__}, not an array")
    images = np.asarray(images)
    n_axes = 4 if images.ndim == 4 else 3
    if images.dtype != np.uint8:
        images = forms.numbers("images", images, n_axes).astype(np.float32)
    elif images.ndim != n_axes or 0 in images.shape:
        raise Inadmissible(
            f"images has the shape {images.shape}, not (images, height, width)"
        )
    if min(images.shape[1:3]) < 16:
        raise Inadmissible(
            f"images are of {images.shape[1]} × {images.shape[2]} pixels: 16 × 16 are "
            "the fewest"
        )
    return np.ascontiguousarray(images)


def _refuse_single_pixels(found):
    """Refuse what leaves batch normalisation one number, after four poolings by two."""
    height, width = found["images"].shape[1:3]
    for name in FEW_SHOT_TASKS:
        if max(height, width) < 32 and found[name].shape[1] == 1:
            raise Inadmissible(
                f"{name} has one image a task, of {height} × {width} pixels: it takes two "
                "images, or 32 × 32 pixels"
            )


def _refuse_foreign(found):
    """Refuse indices that no image has, and classes that no support has."""
    n_images, n_classes = len(found["images"]), found["support_targets"].max() + 1
    for name in FEW_SHOT_TASKS:
        limit, what = n_images, "images"
        if name.endswith("targets"):
            limit, what = n_classes, "classes in support_targets"
        if found[name].max() >= limit:
            raise Inadmissible(
                f"{name} goes up to {found[name].max()}, and there are {limit} {what}"
            )
