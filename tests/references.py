"""The methods of ``solvers/`` once more, in plain NumPy, from their papers' updates.

A second text of each, without the suite's oracles, estimators and schedules, by which
``test_references`` judges the first. A method is a generator of (z, x) after each
iteration. `o` knows the losses and hands out the samples that a run of the suite drew,
in their order: o.i() a block of g, o.j() one of f, None all samples, a list a mean over
blocks. `p` has the parameters.
"""

import math
from itertools import count

import numpy as np


def sgd(o, z, x, step, n_steps, decrease=0.0):
    for k in range(n_steps):
        z = z - step / (1 + decrease * k) * o.g(z, x, o.i())
    return z


def linear_sgd(o, z, x, v, b, step, n_steps, decrease=0.0):
    for k in range(n_steps):
        v = v - step / (1 + decrease * k) * (o.H(z, x, v, o.i()) + b)
    return v


def directions(o, z, v, x, i, j):
    fz, fx = o.f(z, x, j)
    return [o.g(z, x, i), o.H(z, x, v, i) + fz, o.J(z, x, v, i) + fx]


def into_ball(v, radius):
    norm = np.linalg.norm(v)
    return v if radius is None or norm <= radius else v * (radius / norm)


# --- one step on z, v and x at a time -------------------------------------------------


def soba(o, p, z, x):
    v = np.zeros_like(z)
    for t in count():
        dz, dv, dx = directions(o, z, v, x, o.i(), o.j())
        z, v = z - p.rho(t) * dz, v - p.eta(t) * dv
        x = o.P(x - p.gamma(t) * dx)
        yield z, x


def saba(o, p, z, x):
    v = np.zeros_like(z)

    def terms(i, j):
        return [o.g(z, x, i), o.H(z, x, v, i), o.J(z, x, v, i), *o.f(z, x, j)]

    blocks = range(max(o.n_blocks, o.m_blocks))
    first = [terms(min(k, o.n_blocks - 1), min(k, o.m_blocks - 1)) for k in blocks]
    sizes = [o.n_blocks] * 3 + [o.m_blocks] * 2
    tables = [np.array([row[k] for row in first[:n]]) for k, n in enumerate(sizes)]
    o.counts[:] = [o.m, o.n, 0, o.n, o.n, 0]  # one pass
    for t in count():
        i, j = o.i(), o.j()
        d = []
        for new, table, k in zip(terms(i, j), tables, [i, i, i, j, j], strict=True):
            d.append(new - table[k] + table.mean(axis=0))
            table[k] = new
        z, v = z - p.rho(t) * d[0], v - p.eta(t) * (d[1] + d[3])
        x = o.P(x - p.gamma(t) * (d[2] + d[4]))
        yield z, x


def sarah(o, p, z, x, is_full):
    v, old = np.zeros_like(z), None
    for t in count():
        if is_full(t):
            D = directions(o, z, v, x, None, None)
        else:
            i, j = o.i(), o.j()
            new, before = (directions(o, *at, i, j) for at in ((z, v, x), old))
            D = [d + a - b for d, a, b in zip(D, new, before, strict=True)]
        old = z, v, x
        z, v = z - p.rho(t) * D[0], into_ball(v - p.eta(t) * D[1], p.radius)
        x = o.P(x - p.gamma(t) * D[2])
        yield z, x


def srba(o, p, z, x):
    return sarah(o, p, z, x, lambda t: t % p.period == 0)


def spaba(o, p, z, x):
    return sarah(o, p, z, x, lambda t: t == 0 or o.flip(p.probability))


class ZeroSarah:
    """d ← new − old + (1 − s) d + s (old − table[i] + mean of the table)."""

    def __init__(self, weight, n_blocks):
        self.weight, self.n_blocks, self.table = weight, n_blocks, None

    def __call__(self, new, old, i):
        if self.table is None:
            self.table = np.zeros((self.n_blocks, new.size))
            self.d = new
        else:
            table = old - self.table[i] + self.table.mean(axis=0)
            self.d = new - old + (1 - self.weight) * self.d + self.weight * table
        self.table[i] = new
        return self.d


def sffba(o, p, z, x):
    v = np.zeros_like(z)
    old = z, v, x
    sizes = [o.n_blocks] * 3 + [o.m_blocks] * 2
    estimates = [ZeroSarah(p.weight, n) for n in sizes]

    def terms(z, v, x):
        return [o.g(z, x, i), o.H(z, x, v, i), o.J(z, x, v, i), *o.f(z, x, j)]

    for t in count():
        i, j = o.i(), o.j()
        pairs = zip(
            estimates, terms(z, v, x), terms(*old), [i, i, i, j, j], strict=True
        )
        d = [estimate(new, before, k) for estimate, new, before, k in pairs]
        old = z, v, x
        z, v = z - p.rho(t) * d[0], v - p.eta(t) * (d[1] + d[3])
        x = o.P(x - p.gamma(t) * (d[2] + d[4]))
        yield z, x


def mseba(o, p, z, x):
    v, estimate = np.zeros_like(z), ZeroSarah(p.weight, o.n_blocks)
    dv, dx, old = None, None, (z, v, x)

    def system(z, v, x, i, j):
        fz, fx = o.f(z, x, j)
        return o.H(z, x, v, i) + fz, o.J(z, x, v, i) + fx

    for t in count():
        is_full = t == 0 or o.flip(p.probability)
        i = o.i()
        dz = estimate(o.g(z, x, i), o.g(old[0], old[2], i), i)
        if is_full:
            dv, dx = system(z, v, x, None, None)
        else:
            i, j = o.i(), o.j()
            (a, b), (a_old, b_old) = system(z, v, x, i, j), system(*old, i, j)
            dv, dx = dv + a - a_old, dx + b - b_old
        old = z, v, x
        z, v = z - p.rho(t) * dz, v - p.eta(t) * dv
        x = o.P(x - p.gamma(t) * dx)
        yield z, x


def ma_soba(o, p, z, x):
    v, h = np.zeros_like(z), np.zeros_like(x)
    for t in count():
        dz, dv, dx = directions(o, z, v, x, o.i(), o.j())
        z, v = z - p.rho(t) * dz, v - p.eta(t) * dv
        x = o.P(x - p.gamma(t) * h)
        h = (1 - p.weight) * h + p.weight * dx
        yield z, x


def slip(o, p, z, x):
    v, m = np.zeros_like(z), np.zeros_like(x)
    z = sgd(o, z, x, p.rho(0), p.n_warmup)
    for t in count():
        dz, dv, dx = directions(o, z, v, x, o.i(), o.j())
        m = p.memory * m + (1 - p.memory) * dx
        z, v = z - p.rho(t) * dz, v - p.eta(t) * dv
        x = o.P(x - p.gamma(t) * m / max(np.linalg.norm(m), 1e-300))
        yield z, x


def soba_adam(o, p, z, x):
    v, m, a = np.zeros_like(z), np.zeros_like(x), np.zeros_like(x)
    for t in count():
        dz, dv, dx = directions(o, z, v, x, o.i(), o.j())
        m = p.memory * m + (1 - p.memory) * dx
        a = p.square_memory * a + (1 - p.square_memory) * dx**2
        z, v = z - p.rho(t) * dz, v - p.eta(t) * dv
        unbiased = m / (1 - p.memory ** (t + 1))
        size = np.sqrt(a / (1 - p.square_memory ** (t + 1))) + p.floor
        x = o.P(x - p.gamma(t) * unbiased / size)
        yield z, x


def alset_dagger(o, p, z, x):
    v = np.zeros_like(z)
    for t in count():
        z = sgd(o, z, x, p.rho(t), 1)
        fz, fx = o.f(z, x, o.j())
        v = linear_sgd(o, z, x, v, fz, p.eta(t), 1)
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, v, o.i())))
        yield z, x


def fsla(o, p, z, x):
    v, d, old = np.zeros_like(z), None, None
    for t in count():
        z = sgd(o, z, x, p.rho(t), 1)
        v = linear_sgd(o, z, x, v, o.f(z, x, o.j())[0], p.eta(t), 1)
        j, i = o.j(), o.i()

        def h(z, v, x, i=i, j=j):
            return o.f(z, x, j)[1] + o.J(z, x, v, i)

        new = h(z, v, x)
        share = 1 - p.weight * (t + 1) ** -p.outer_exponent
        d = new if t == 0 else new + share * (d - h(*old))
        old = z, v, x
        x = o.P(x - p.gamma(t) * d)
        yield z, x


# --- several steps on z, an approximate linear system ---------------------------------


def amigo(o, p, z, x):
    v = np.zeros_like(z)
    for t in count():
        z = sgd(o, z, x, p.rho(t), p.n_inner)
        fz, fx = o.f(z, x, o.j())
        v = linear_sgd(o, z, x, v, fz, p.eta(t), p.n_linear)
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, v, o.i())))
        yield z, x


def aid_fp(o, p, z, x):
    z0, v = z, np.zeros_like(z)
    for t in count():
        z = sgd(o, z if p.warm_start else z0, x, p.rho(t), p.n_inner)
        fz, fx = o.f(z, x, o.j())
        v = linear_sgd(o, z, x, v * p.warm_linear, fz, p.eta(t), p.n_linear)
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, v, o.i())))
        yield z, x


def conjugate_gradients(product, b, v, n_steps, tolerance=0.0):
    r = b - product(v)
    q, eps, steepest = r, np.finfo(float).eps, 0.0
    for _ in range(n_steps):
        if np.linalg.norm(r) <= max(tolerance, 0.1 * eps * np.linalg.norm(b)):
            break
        image = product(q)
        steepest = max(steepest, q @ image / (q @ q))
        if q @ image <= eps * steepest * (q @ q):
            break
        step = (r @ r) / (q @ image)
        v, r, before = v + step * q, r - step * image, r
        q = r + (r @ r) / (before @ before) * q
    return v


def aid_cg(o, p, z, x):
    z0, v = z, np.zeros_like(z)
    for t in count():
        z = sgd(o, z if p.warm_start else z0, x, p.rho(t), p.n_inner)
        fz, fx = o.f(z, x, o.j())
        i = o.i()

        def product(q, z=z, x=x, i=i):
            return o.H(z, x, q, i)

        v = conjugate_gradients(product, -fz, v * p.warm_linear, p.n_linear)
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, v, o.i())))
        yield z, x


def alset_ls(o, p, z, x):
    for t in count():
        z = sgd(o, z, x, p.rho(t), p.n_inner)
        fz, fx = o.f(z, x, o.j())
        v = linear_sgd(o, z, x, -p.start * fz, fz, p.eta(t), p.n_linear)
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, v, o.i())))
        yield z, x


def bsgm(o, p, z, x):
    z0 = z
    for t in count():
        n_steps = max(p.n_steps, math.ceil(p.growth * (t + 1)))
        n_means = math.ceil(p.mean_ratio * n_steps)
        z = sgd(o, z0, x, p.rho(t), n_steps, p.decrease)
        fz, fx = o.f(z, x, [o.j() for _ in range(n_means)])
        v = linear_sgd(o, z, x, 0 * z, fz, p.eta(t), n_steps, p.decrease)
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, v, [o.i() for _ in range(n_means)])))
        yield z, x


def bsgm_ws(o, p, z, x):
    v = np.zeros_like(z)
    for t in count():
        z = sgd(o, z, x, p.rho(t), p.n_inner)
        fz, fx = o.f(z, x, [o.j() for _ in range(p.n_means)])
        v = linear_sgd(o, z, x, v * p.warm_linear, fz, p.eta(t), p.n_linear)
        jv = o.J(z, x, v, [o.i() for _ in range(p.n_means)])
        x = o.P(x - p.gamma(t) * (fx + jv))
        yield z, x


def t1_t2(o, p, z, x):
    for t in count():
        z = sgd(o, z, x, p.rho(t), p.n_inner)
        fz, fx = o.f(z, x, o.j())
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, -p.constant_eta * fz, o.i())))
        yield z, x


def nystrom(o, p, z, x):
    for t in count():
        z = sgd(o, z, x, p.rho(t), p.n_inner)
        i, j, numbers = o.i(), o.j(), np.arange(z.size)
        for k in range(min(p.rank, z.size)):
            other = k + o.below(z.size - k)
            numbers[[k, other]] = numbers[[other, k]]
        chosen = numbers[: p.rank]
        columns = np.array([o.H(z, x, e, i) for e in np.eye(z.size)[chosen]]).T
        H = columns @ np.linalg.pinv(columns[chosen], rcond=1e-10) @ columns.T
        fz, fx = o.f(z, x, j)
        v = -np.linalg.solve(H + p.ridge * np.eye(z.size), fz)
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, v, o.i())))
        yield z, x


def hoag(o, p, z, x):
    v = np.zeros_like(z)
    for t in count():
        i, j, tolerance = o.i(), o.j(), max(p.tolerance * p.reduction**t, 1e-12)
        for _ in range(p.max_solver_steps):
            gz = o.g(z, x, i)
            if np.linalg.norm(gz) <= tolerance:
                break
            z = z - p.rho(t) * gz
        fz, fx = o.f(z, x, j)

        def product(q, z=z, x=x, i=i):
            return o.H(z, x, q, i)

        v = conjugate_gradients(product, -fz, v, p.max_solver_steps, tolerance)
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, v, i)))
        yield z, x


# --- differentiated steps -------------------------------------------------------------


def itd(o, p, z, x):
    z0 = z
    for t in count():
        z, path = z if p.warm_start else z0, []
        for _ in range(p.n_inner):
            path.append((z, o.i()))
            z = z - p.rho(t) * o.g(z, x, path[-1][1])
        q, h = o.f(z, x, o.j())
        for y, i in reversed(path):
            h = h - p.rho(t) * o.J(y, x, q, i)
            q = q - p.rho(t) * o.H(y, x, q, i)
        x = o.P(x - p.gamma(t) * h)
        yield z, x


def fo_itd(o, p, z, x):
    z0 = z
    for t in count():
        z = sgd(o, z if p.warm_start else z0, x, p.rho(t), p.n_inner)
        x = o.P(x - p.gamma(t) * o.f(z, x, o.j())[1])
        yield z, x


def pzobo(o, p, z, x):
    for t in count():
        blocks = [o.i() for _ in range(p.n_inner)]

        def moved(x, z=z, t=t, blocks=blocks):
            for i in blocks:
                z = z - p.rho(t) * o.g(z, x, i)
            return z

        end = moved(x)
        fz, h = o.f(end, x, o.j())
        for _ in range(p.n_perturbations):
            u = o.normal()
            slope = (moved(x + p.smoothing * u) - end) / p.smoothing
            h = h + (slope @ fz) * u / p.n_perturbations
        z, x = end, o.P(x - p.gamma(t) * h)
        yield z, x


# --- Neumann series -------------------------------------------------------------------


def neumann(o, z, x, b, eta, batches):
    term = -eta * b
    total = term
    for batch in batches:
        term = term - eta * o.H(z, x, term, batch)
        total = total + term
    return total


def stocbio(o, p, z, x):
    eta = p.constant_eta
    for t in count():
        z = sgd(o, z, x, p.rho(t), p.n_inner)
        fz, fx = o.f(z, x, o.j())
        sizes = [
            math.ceil(p.hessian_blocks * (1 - eta * p.convexity) ** k)
            for k in range(p.n_neumann)
        ]
        v = neumann(o, z, x, fz, eta, [o.blocks_of_g(size) for size in sizes])
        x = o.P(x - p.gamma(t) * (fx + o.J(z, x, v, o.i())))
        yield z, x


def neumann_samples(o, p, size_g=1, size_f=1):
    batches = [o.blocks_of_g(size_g) for _ in range(p.n_neumann)]
    return batches, o.blocks_of_f(size_f), o.blocks_of_g(size_g)


def neumann_hypergradient(o, p, z, x, samples):
    batches, j, i = samples
    fz, fx = o.f(z, x, j)
    return fx + o.J(z, x, neumann(o, z, x, fz, p.constant_eta, batches), i)


def mrbo(o, p, z, x):
    u = d = old = None
    for t in count():
        i, samples = o.i(), neumann_samples(o, p)
        gz, h = o.g(z, x, i), neumann_hypergradient(o, p, z, x, samples)
        if t == 0:
            u, d = gz, h
        else:
            alpha, beta = (
                min(1, c * t ** (-2 * p.step_exponent))
                for c in (p.outer_momentum, p.inner_momentum)
            )
            u = gz + (1 - beta) * (u - o.g(*old, i))
            d = h + (1 - alpha) * (d - neumann_hypergradient(o, p, *old, samples))
        old = z, x
        z, x = z - p.rho(t) * u, o.P(x - p.gamma(t) * d)
        yield z, x


def vrbo(o, p, z, x):
    sizes = (math.ceil(p.large_fraction * n) for n in (o.n_blocks, o.m_blocks))
    size_g, size_f = sizes
    for t in count():
        if t % p.period == 0:
            u = o.g(z, x, o.blocks_of_g(size_g))
            samples = neumann_samples(o, p, size_g, size_f)
            d = neumann_hypergradient(o, p, z, x, samples)
        old, x = (z, x), o.P(x - p.gamma(t) * d)
        for k in range(p.n_inner + 1):
            i, samples = o.i(), neumann_samples(o, p)
            u = u + o.g(z, x, i) - o.g(*old, i)
            new, before = (
                neumann_hypergradient(o, p, *at, samples) for at in ((z, x), old)
            )
            d, old = d + new - before, (z, x)
            if k < p.n_inner:
                z = z - p.rho(t) * u
        yield z, x


# --- randomly truncated products ------------------------------------------------------


def hia_samples(o, n_terms):
    j, n_factors = o.j(), o.below(n_terms)
    return n_terms, j, [o.i() for _ in range(n_factors)], o.i()


def hia_hypergradient(o, p, z, x, samples):
    n_terms, j, blocks, i = samples
    fz, fx = o.f(z, x, j)
    v = -p.constant_eta * n_terms * fz
    for block in blocks:
        v = v - p.constant_eta * o.H(z, x, v, block)
    return fx + o.J(z, x, v, i)


def alset(o, p, z, x):
    for t in count():
        z = sgd(o, z, x, p.rho(t), p.n_inner)
        h = hia_hypergradient(o, p, z, x, hia_samples(o, p.n_terms))
        x = o.P(x - p.gamma(t) * h)
        yield z, x


def ttsa(o, p, z, x):
    p.n_inner = 1
    return alset(o, p, z, x)


def bsa(o, p, z, x):
    z0 = z
    for t in count():
        n_steps = math.ceil(p.n_inner * (t + 1) ** p.growth_exponent - 1e-9)
        z = sgd(o, z if p.warm_start else z0, x, p.rho(t), n_steps)
        n_terms = p.n_terms + math.floor(p.terms_growth * math.log(t + 1))
        h = hia_hypergradient(o, p, z, x, hia_samples(o, n_terms))
        x = o.P(x - p.gamma(t) * h)
        yield z, x


def smb(o, p, z, x):
    w = None
    for t in count():
        z = sgd(o, z, x, p.rho(t), 1)
        h = hia_hypergradient(o, p, z, x, hia_samples(o, p.n_terms))
        w = h if t == 0 else (1 - p.weight) * w + p.weight * h
        x = o.P(x - p.gamma(t) * w)
        yield z, x


def sustain(o, p, z, x):
    u = d = old = None
    for t in count():
        i, samples = o.i(), hia_samples(o, p.n_terms)
        gz, h = o.g(z, x, i), hia_hypergradient(o, p, z, x, samples)
        if t == 0:
            u, d = gz, h
        else:
            square = t ** (-2 * p.step_exponent)
            u = gz + (1 - p.inner_weight * square) * (u - o.g(*old, i))
            before = hia_hypergradient(o, p, *old, samples)
            d = h + (1 - p.outer_weight * square) * (d - before)
        old = z, x
        z, x = z - p.rho(t) * u, o.P(x - p.gamma(t) * d)
        yield z, x


def biadam(o, p, z, x, storm=False):
    a, b = np.zeros_like(x), np.zeros_like(z)
    v = w = None
    for t in count():
        eta_z, eta_x = (t + 1) ** -p.step_exponent, (t + 1) ** -p.outer_exponent
        old = z, x
        if t > 0:
            A, B = np.sqrt(a) + p.floor, np.sqrt(b) + p.floor
            z = z - eta_z * p.step_size * v / B
            there = o.P(x - p.step_size / p.outer_ratio * w / A)
            x = x + eta_x * (there - x)
        weight = p.weight * eta_x ** (2 if storm else 1)
        i, samples = o.i(), hia_samples(o, p.n_terms)
        gz, h = o.g(z, x, i), hia_hypergradient(o, p, z, x, samples)
        if storm:  # of which nothing is left at t = 0, but it is computed
            gz_old, h_old = o.g(*old, i), hia_hypergradient(o, p, *old, samples)
        if t == 0:
            v, w = gz, h
        elif storm:
            v = gz + (1 - weight) * (v - gz_old)
            w = h + (1 - weight) * (w - h_old)
        else:
            v, w = (1 - weight) * v + weight * gz, (1 - weight) * w + weight * h
        a = p.memory * a + (1 - p.memory) * h**2
        b = p.memory * b + (1 - p.memory) * gz**2
        yield z, x


def vr_biadam(o, p, z, x):
    return biadam(o, p, z, x, storm=True)


# --- matrices -------------------------------------------------------------------------


def clipped_below(matrix, least):
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors @ np.diag(np.maximum(values, least)) @ vectors.T


def clipped_above(matrix, largest):
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return left @ np.diag(np.minimum(values, largest)) @ right


def stable(o, p, z, x):
    H, J, old = 0, 0, (z, x)
    for t in count():
        i, k, share = o.i(), o.i(), 1 - p.weight if t else 0
        H = share * (H - o.hessian(*old, i)) + o.hessian(z, x, i)
        J = share * (J - o.cross_matrix(*old, k)) + o.cross_matrix(z, x, k)
        H, J = clipped_below(H, p.convexity), clipped_above(J, p.cross_bound)
        fz, fx = o.f(z, x, o.j())
        gz, old = o.g(z, x, o.i()), (z, x)
        x = o.P(x - p.gamma(t) * (fx - J @ np.linalg.solve(H, fz)))
        z = z - p.rho(t) * gz - np.linalg.solve(H, J.T @ (x - old[1]))
        yield z, x


def svrb(o, p, z, x):
    old = z, x
    for t in count():
        i, k, n, j = o.i(), o.i(), o.i(), o.j()

        def terms(z, x, i=i, k=k, n=n, j=j):
            w, u = o.f(z, x, j)
            return [u, w, o.g(z, x, i), o.hessian(z, x, k), o.cross_matrix(z, x, n)]

        new, before = terms(z, x), terms(*old)
        if t == 0:
            E = new
        else:
            share = 1 - p.weight * t ** (-2 * p.step_exponent)
            E = [a + share * (e - b) for a, e, b in zip(new, E, before, strict=True)]
        E[3] = clipped_below(E[3], p.convexity)
        u, w, q, H, J = E
        old = z, x
        x = o.P(x - p.gamma(t) * (u - J @ np.linalg.solve(H, w)))
        z = z - p.rho(t) * q
        yield z, x


# --- first order ----------------------------------------------------------------------


def f2sa(o, p, z, x):
    y = z
    for t in count():
        penalty = p.penalty * (t + 1) ** (p.outer_exponent - p.step_exponent)
        for _ in range(p.n_inner):
            direction = o.f(y, x, o.j())[0] + penalty * o.g(y, x, o.i())
            y = y - p.rho(t) / (2 * penalty) * direction
            z = z - p.rho(t) * o.g(z, x, o.i())
        j, i = o.j(), o.i()
        k = i if p.common_sample else o.i()
        h = o.f(y, x, j)[1] + penalty * (o.gx(y, x, i) - o.gx(z, x, k))
        x = o.P(x - p.gamma(t) * h)
        yield z, x


def f3sa(o, p, z, x):
    y = z
    old = y, z, x
    for t in count():
        penalty = p.penalty * (t + 1) ** (p.outer_exponent - p.step_exponent)
        i, k, n, j = o.i(), o.i(), o.i(), o.j()

        def terms(y, z, x, i=i, k=k, n=n, j=j):
            fz, fx = o.f(y, x, j)
            slope = o.gx(y, x, n) - o.gx(z, x, n)
            return [fz, o.g(y, x, i), o.g(z, x, k), fx, slope]

        new, before = terms(y, z, x), terms(*old)
        if t == 0:
            E = new
        else:
            share = 1 - min(1, p.weight * t ** (-2 * p.step_exponent))
            E = [a + share * (e - b) for a, e, b in zip(new, E, before, strict=True)]
        old = y, z, x
        y = y - p.rho(t) / (2 * penalty) * (E[0] + penalty * E[1])
        z = z - p.rho(t) * E[2]
        x = o.P(x - p.gamma(t) * (E[3] + penalty * E[4]))
        yield z, x


def f2ba(o, p, z, x):
    y = z
    for t in count():
        for _ in range(p.n_inner):
            i, j = o.i(), o.j()
            y = y - p.rho(t) * (o.g(y, x, i) + o.f(y, x, j)[0] / p.penalty)
            z = z - p.rho(t) * o.g(z, x, i)
        i, j = o.i(), o.j()
        h = o.f(y, x, j)[1] + p.penalty * (o.gx(y, x, i) - o.gx(z, x, i))
        x = o.P(x - p.gamma(t) * h)
        yield z, x


def f2sa_p(o, p, z, x):
    nodes = np.arange(-(p.order // 2), -(-p.order // 2) + 1)
    powers = np.vander(nodes.astype(float), increasing=True).T
    weights = np.linalg.solve(powers, np.eye(len(nodes))[1])
    points = [z for _ in nodes]
    for t in count():
        for _ in range(p.n_inner):
            i, j = o.i(), o.j()
            points = [
                y - p.rho(t) * (o.g(y, x, i) + (k and k / p.penalty * o.f(y, x, j)[0]))
                for k, y in zip(nodes, points, strict=True)
            ]
        i, j = o.i(), o.j()
        z = points[p.order // 2]
        h = o.f(z, x, j)[1]
        for y, weight in zip(points, weights, strict=True):
            if abs(weight) > 1e-9:
                h = h + p.penalty * weight * o.gx(y, x, i)
        x = o.P(x - p.gamma(t) * h)
        yield z, x


def bome(o, p, z, x):
    for t in count():
        y = sgd(o, z, x, p.eta(t), p.n_inner)
        i, j = o.i(), o.j()
        qz, qx = o.g(z, x, i), o.gx(z, x, i) - o.gx(y, x, i)
        fz, fx = o.f(z, x, j)
        square = qz @ qz + qx @ qx
        penalty = max(0, p.barrier - (fz @ qz + fx @ qx) / square)
        z = z - p.rho(t) * (fz + penalty * qz)
        x = o.P(x - p.gamma(t) * (fx + penalty * qx))
        yield z, x


def v_pbgd(o, p, z, x):
    for t in count():
        y = sgd(o, z, x, p.rho(t), p.n_inner)
        i, j = o.i(), o.j()
        penalty = p.penalty * min(1, (t + 1) / p.ramp)
        fz, fx = o.f(z, x, j)
        h = fx + penalty * (o.gx(z, x, i) - o.gx(y, x, i))
        z = z - p.rho(t) / p.penalty * (fz + penalty * o.g(z, x, i))
        x = o.P(x - p.gamma(t) * h)
        yield z, x
