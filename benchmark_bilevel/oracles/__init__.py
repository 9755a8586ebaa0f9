"""The oracle contract: the only way from a solver to the data.

A solver gets two oracles, ``inner`` for g(z, x) and ``outer`` for f(z, x), both means
over many samples. With i the index of a mini-batch (a *block*):

``oracle.draw()``
    index of the next block; ``oracle.n_blocks`` is their number;
``oracle.uniform(n)``
    uniform integer in {0, …, n − 1}, from the stream of random numbers of `draw`;
``oracle.normal(y)``
    a variable like y of standard normal numbers, from the same stream;
``oracle.value(z, x, i)``
    loss on block i;
``inner.grad(z, x, i)``
    the residual F = ∇z g of the inner problem;
``inner.grad_x(z, x, i)``
    ∇x g, a direction for x;
``inner.grads(z, x, i)``
    the pair (∇z g, ∇x g) at once, sharing the forward pass;
``inner.hvp(z, x, v, i)``
    (∂F/∂z)ᵀ v, for a gradient the Hessian-vector product ∇²zz g v;
``inner.cross(z, x, v, i)``
    (∂F/∂x)ᵀ v, for a gradient the product ∇²xz g v, a direction for x;
``inner.grad_hvp_cross(z, x, v, i)``
    the three at once, sharing the forward pass;
``inner.hessian(z, x, i)``
    ∇²zz g as a matrix (dim z, dim z), for z up to `MATRIX_LIMIT` numbers; a sample
    counts as dim z products;
``inner.cross_matrix(z, x, i)``
    the matrix J of `cross`, (dim x, dim z), likewise;
``outer.grad(z, x, i)``
    the pair (∇z f, ∇x f), ∇x f being ``None`` where f does not depend on x;
``outer.grad_x(z, x, i)``
    ∇x f alone; where it is ``None`` nothing is computed;
``outer.descend(x, a, d, e=None)``
    x ← P(x − a (d + e)) in place, P the projection on the feasible set of x;
``outer.scaled_descend(x, step, d, a, floor)``
    x ← P(x − step d / (√a + floor)) in place, entry by entry, P the projection in the
    norm √(Σ (√a + floor) (·)²).

``inner.memory(z, x)``, ``outer.memory(z, x)``
    empty SAGA memories for the oracle's directions (`variance_reduction.saga`), None
    for those that are not sampled.

The estimates of a block are unbiased under uniform draws and their mean over all blocks
is the full loss exactly (`samplers.Partition`). Only F and products with the transposes
of its Jacobians occur, so that an inner problem stated as a fixed point z = Φ(z, x) fits
with F = z − Φ.

A direction is to be used before the variable moves at which its oracle was called, z for
∇z g and v for H v: on sparse data it refers to that variable and is no copy. Moving the
variable itself by it is fine; two directions go in one ``descend(y, a, d, e)``.

Every call counts its per-sample evaluations in ``oracle.counts``, an int64 array that
both oracles share, in the order of `COUNTS`; padding is never counted.
"""

MATRIX_LIMIT = 500  # numbers in z

COUNTS = (
    "outer_gradients",
    "inner_gradients",
    "inner_gradients_x",
    "hessian_vector_products",
    "jacobian_vector_products",
    "loss_values",
)
(
    OUTER_GRADIENTS,
    INNER_GRADIENTS,
    INNER_GRADIENTS_X,
    HESSIAN_VECTOR,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
) = range(len(COUNTS))
