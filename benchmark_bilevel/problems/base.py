"""What a problem is: two losses, a feasible set, a start and metrics."""

import hashlib
import sys
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.sparse import issparse

from benchmark_bilevel import plugin_files
from benchmark_bilevel.data import Inadmissible, admit
from benchmark_bilevel.data.dataset import content_digest
from benchmark_bilevel.fingerprint import PACKAGE
from benchmark_bilevel.notices import Fault


class Problem:
    """min_x h(x) = f(x, z*(x)) with z*(x) = argmin_z g(x, z), f and g means over samples.

    A subclass writes the losses of a batch in PyTorch; every derivative follows by
    autograd, and every solver runs. ``kernels``, a module with closed forms in numba, is
    optional and makes the problem fast. The variables are flat vectors for a solver; a
    loss reshapes them.

    Parameters
    ----------
    data : dict of arrays
        What `admit` made of the data set's arrays. Splitting it is left to the cached
        properties below, since benchopt builds problems that it may never run.
    split_seed : int, optional
        Seed of the split and of what else is random in the problem; the problem's
        default if None.
    **options
        Those parameters of the objective that the class names in `options`; they become
        attributes.

    Attributes
    ----------
    inner_samples, outer_samples : tuple of arrays with equal first dimension
        The samples over which g and f are means; a batch is a slice of each.
    dim_z, dim_x : int
    """

    name = None
    options = ()  # names of the objective's parameters that the problem uses
    targets = None  # "classes" or "numbers"; None is as the data say (`data.admit`)
    kernels = None  # module with make_inner, make_outer
    default_split_seed = 0
    # Exact evaluations are thinned evenly to this many a run, where they are costly; at
    # the end of a run there is one more.
    max_exact_evaluations = None
    solver_seconds = 10.0  # of a run, on the solver's clock, unless it says otherwise
    has_reference = True
    # Many inner problems that share x: `benchmark_bilevel.problems.tasks.base`.
    made_of_tasks = False
    # Or why nobody can compute z*(x), in a few words: there are no exact metrics then.
    h_unknown = None
    # Whether variance reduction leaves g's regulariser, which is not sampled, out of its
    # tables of ∇z g and H v. The data term must not depend on x then.
    separate_regulariser = False

    def __init__(self, data, split_seed=None, **options):
        self.data = data
        vars(self).update(options)
        self.split_seed = self.default_split_seed if split_seed is None else split_seed

    # --- to be written by a problem -------------------------------------------------

    @classmethod
    def unfit(cls, data):
        """Why this problem cannot be posed on `data`, in a few words; None if it can.

        `data` have passed `benchmark_bilevel.data.admit`.
        """
        raise Fault(f"{cls.__name__} has no class method unfit")

    @classmethod
    def invalid(cls, **options):
        """What is wrong with the values of the options, in one line; None if nothing."""
        return None

    def inner_loss(self, z, x, *batch):
        """Losses of g on a batch, a tensor of shape (batch,), without the regulariser."""
        raise Fault(f"{type(self).__name__} has no method inner_loss")

    def outer_loss(self, z, x, *batch):
        """Losses of f on a batch, a tensor of shape (batch,)."""
        raise Fault(f"{type(self).__name__} has no method outer_loss")

    inner_regulariser = None  # or a method (z, x) -> scalar tensor

    def regulariser_diagonal(self, x):
        """Diagonal of the regulariser's ∇²zz, which is diagonal; or zeros if unknown.

        It helps the exact layer to use one Hessian at several x, and is a lower bound
        of ∇²zz g if the losses are convex.
        """
        return np.zeros(self.dim_z)

    def free_directions(self, x):
        """Directions of z along which neither g(·, x) nor f changes, (k, dim_z).

        They are orthonormal; the exact layer takes no step along them.
        """
        return np.empty((0, self.dim_z))

    project = None  # or a method x -> the nearest feasible x
    # Or a method (x, weights) -> the feasible point nearest to x in the norm
    # √(Σ weights (·)²), for methods whose steps differ between entries. Of a box it is
    # what `project` gives.
    project_scaled = None
    projection_step = (
        1.0  # α of the map ‖x − P(x − α ∇h)‖ / α behind hypergradient_norm
    )

    def preconditioner(self, z, x):
        """A function b -> about H⁻¹ b, for the exact layer where H = ∇²zz g is large."""
        return lambda b: b

    def fine_losses(self):
        """Losses in long double, for the exact layer where float64 ends; None if none.

        They have the methods of `FineLosses` of `benchmark_bilevel.problems.selection`,
        and its `counts`.
        """
        return None

    def initial_point(self):
        """The pair (z0, x0), float64, the same for all solvers and repetitions."""
        raise Fault(f"{type(self).__name__} has no method initial_point")

    def accuracies(self, z, x):
        """Dict of the accuracies and the test loss of the model (z, x)."""
        return {}

    def outer_metrics(self, x):
        """Dict of further metrics that x alone decides."""
        return {}

    def final_metrics(self, x):
        """Dict of metrics that cost too much for any but the last point of a run."""
        return {}

    def final_results(self, z, x):
        """Dict of arrays at the end of a run that the result file keeps for each run.

        z and x where they are small: no word weights, no thousands of images.
        """
        return {
            name: y
            for name, y in (("z", z), ("x", x))
            if y is not None and np.size(y) <= 1000
        }

    # --- what follows from it -------------------------------------------------------

    @classmethod
    def admit(cls, data):
        """The arrays that a data set's ``get_data`` returned, as this problem sees them.

        Raises
        ------
        Inadmissible
            If it cannot be posed on them; the message says why, in one line.
        """
        data = admit(cls.targets, **data)
        reason = cls.unfit(data)
        if reason is not None and not isinstance(reason, str):
            raise Fault(f"{cls.__name__}.unfit returns {reason!r}, not a text or None")
        if reason is not None:
            raise Inadmissible(reason)
        return data

    @property
    def n_inner(self):
        return self.inner_samples[0].shape[0]

    @property
    def n_outer(self):
        return self.outer_samples[0].shape[0]

    def dim_drawn(self, batch_size):
        """Numbers of z in an iteration with `batch_size`."""
        return self.dim_z

    @cached_property
    def outer_depends_on_x(self):
        """Whether f depends on x other than through z: else ∇x f is 0."""
        from benchmark_bilevel.oracles.autograd import depends_on_x  # takes seconds

        return depends_on_x(self.outer_loss, self.outer_samples, *self.initial_point())

    @cached_property
    def fingerprint(self):
        """Digest of the problem's name, settings and samples: names its reference.

        Of a problem that is not the package's, also of its file and of all its data.
        """
        digest = hashlib.sha256(repr((self.name, *self.settings())).encode())
        file = getattr(sys.modules[type(self).__module__], "__file__", None)
        if file is not None and PACKAGE not in Path(file).parents:
            digest.update(plugin_files.digest(file).encode())
            digest.update(content_digest(self.data).encode())
        for array in (*self.inner_samples, *self.outer_samples):
            is_sparse = issparse(array)
            parts = (array.indptr, array.indices, array.data) if is_sparse else (array,)
            for part in parts:
                digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]

    def forget(self):
        """Drop the parts of the data, and what else is computed when it is needed."""
        for name in list(vars(self)):
            if isinstance(getattr(type(self), name, None), cached_property):
                del vars(self)[name]

    def settings(self):
        """What changes h besides the samples: the values of the options."""
        return tuple(getattr(self, name) for name in self.options)

    def in_logarithms(self):
        """The problem with the same infimum whose x may be logarithms: itself."""
        return self
