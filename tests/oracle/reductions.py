"""What numpy has for reductions, running sums, groups and orders.

Each function takes the kernel's name, its parameters and inputs, and gives the exact value and, for
floats whose last bits may differ, how far a pairwise algorithm may be from it.
"""

import numpy as np


def widest(x):
    """In long double, integers by way of f64 as in numpy's own functions."""
    if x.dtype.kind not in "fc":
        x = x.astype("f8")
    return x.astype("G" if x.dtype.kind == "c" else "g")


def axis_of(params):
    axis = params.get("axis")
    return tuple(axis) if isinstance(axis, list) else axis


def apply(kernel, params, x):
    more = {"ddof": params["ddof"]} if "ddof" in params else {}
    keep = params.get("keepdims", False)
    return np.asarray(getattr(np, kernel)(x, axis=axis_of(params), keepdims=keep, **more))


def one_nan(x):
    """A complex number is NaN in both parts or in none."""
    if x.dtype.kind == "c":
        x = np.where(np.isnan(x), np.array(complex(np.nan, np.nan), x.dtype), x)
    return np.asarray(x)


def exact(kernel, params, xs):
    """Extremes, their places, flags, counts."""
    return one_nan(apply(kernel, params, xs[0])), None


def bounded(kernel, params, xs):
    """Sums, products, means, variances."""
    x = xs[0]
    plain = apply(kernel, params, x)
    base = kernel.removeprefix("nan")
    if x.dtype.kind not in "fc" and base in ("sum", "prod"):
        return plain, None
    # Integers have no NaN: numpy goes the plain way.
    value = apply(kernel if x.dtype.kind in "fc" else base, params, widest(x))
    total = np.nansum if base != kernel else np.sum
    count = x.size / max(plain.size, 1)
    depth = np.log2(max(count, 1)) + 8
    eps = np.finfo(plain.dtype).eps
    scale = total(np.abs(widest(x)), axis=axis_of(params), keepdims=params.get("keepdims", False))
    if base == "mean":
        some = np.abs(widest(x))
        some = some[np.isfinite(some)]
        scale = scale / max(count, 1) + (np.max(some, initial=0) if base != kernel else 0)
    if base == "prod":
        scale, depth = np.abs(value), count + 8
        if x.dtype.kind == "c":
            depth *= 4
    if base in ("var", "std"):
        scale = np.abs(value) * 8
        depth += 8
    tolerance = scale * eps * depth
    if base in ("var", "std") and x.size:
        # The rounded mean is off by a part of the largest element, and that enters squared.
        sizes = np.abs(widest(x))
        largest = np.max(sizes[np.isfinite(sizes)], initial=0)
        shift = (eps * depth * largest) ** 2
        tolerance = tolerance + (shift if base == "var" else np.sqrt(shift))
    return np.asarray(value.astype(plain.dtype)), np.asarray(tolerance).astype("f8")


def scan(kernel, params, xs):
    x = xs[0]
    value = np.asarray(getattr(np, kernel)(x, axis=params.get("axis")))
    if x.dtype.kind == "c" and kernel == "cumprod":
        magnitude = np.cumprod(np.abs(widest(x)), axis=params.get("axis"))
        return value, np.asarray(magnitude * np.finfo(value.dtype).eps * (4 * x.size + 4))
    return value, None


def hole(x):
    """A row of NaN or NaT."""
    value = np.array("NaT", x.dtype) if x.dtype.kind in "mM" else np.nan
    return one_nan(np.full(x.shape[1:], value, x.dtype))


def ends(x, last, sound):
    """The first or last row that counts, column by column; NaN where there is none."""
    out = hole(x)
    for row in x if last else x[::-1]:
        counts = ~np.isnan(row) if sound else np.full(row.shape, True)
        out = np.where(counts, row, out)
    return out


def group(base, sound, x):
    """One group, along axis 0."""
    empty, holes = len(x) == 0, x.dtype.kind in "fcmM"
    name = "nan" + base if sound and holes else base
    if empty and not holes and base in ("min", "max", "first", "last"):
        raise ValueError("empty group")
    if base == "count":
        members = np.full(x.shape, 1) if not (sound and holes) else ~np.isnan(x)
        return np.sum(members, axis=0, dtype="i8"), None
    if base in ("first", "last"):
        if not holes:
            return x[0 if base == "first" else -1], None
        return ends(x, base == "last", sound), None
    if base in ("min", "max"):
        if empty:
            return hole(x), None
        return exact(name, {"axis": 0}, [x])
    return bounded(name, {"axis": 0}, [x])


def groupby(_, params, xs):
    x, numbers = xs
    axis, count = params["axis"], params["ngroups"]
    base = params["func"].removeprefix("nan")
    lines = np.moveaxis(x, axis, 0)
    if numbers.dtype.kind not in "iu":
        raise TypeError("group numbers must be integers")
    if numbers.shape != (len(lines),):
        raise ValueError("one group number for each index")
    if numbers.size and (numbers.max() >= count or (numbers.dtype.kind == "i" and numbers.min() < -1)):
        raise ValueError("no such group")
    parts = [group(base, base != params["func"], lines[numbers == g]) for g in range(count)]
    value = np.stack([part[0] for part in parts])
    tolerance = None
    if parts[0][1] is not None:
        tolerance = np.moveaxis(np.stack([part[1] for part in parts]), 0, axis)
    return np.moveaxis(value, 0, axis), tolerance


def order(kernel, params, xs):
    return getattr(np, kernel)(xs[0], axis=params.get("axis", -1), kind="stable"), None


def largest(kernel, params, xs):
    x, axis = xs[0], params.get("axis", -1)
    if axis is None or x.ndim == 0:
        x, axis = x.reshape(-1), 0 if axis is None else axis
    axis = np.lib.array_utils.normalize_axis_index(axis, x.ndim)
    kept = min(params["k"], x.shape[axis])
    ranks = np.unique(x, return_inverse=True)[1].reshape(x.shape).astype("i8")
    ranks = -ranks
    ranks[np.isnat(x) if x.dtype.kind in "mM" else np.isnan(x)] = x.size + 1
    places = np.argsort(ranks, axis=axis, kind="stable")
    places = np.take(places, np.arange(kept), axis=axis)
    return places if kernel == "argtopk" else np.take_along_axis(x, places, axis), None


KERNELS = {"groupby_reduce": groupby, "cumsum": scan, "cumprod": scan}
KERNELS.update({"sort": order, "argsort": order, "topk": largest, "argtopk": largest})
for name in "min max argmin argmax any all count_nonzero nanmin nanmax nanargmin nanargmax".split():
    KERNELS[name] = exact
for name in "sum prod mean var std nansum nanprod nanmean nanvar nanstd".split():
    KERNELS[name] = bounded
