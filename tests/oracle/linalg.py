"""Checks results of linear algebra, stencil and fft kernels with numpy.

Reads FOLDER/cases.json and FOLDER/data.bin, prints one line for each fault. A case has a kernel,
its parameters, inputs and result (dtype, shape, offset into data.bin) or the kind of its error.
Bounds are those of the algorithms: products by the sizes of their terms, factorisations by what
they give back, in units of the dtype's rounding.
"""

import json
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")
np.seterr(all="ignore")
FOLDER = sys.argv[1]
DTYPES = {
    "bool": "?", "i8": "i1", "i16": "i2", "i32": "i4", "i64": "i8", "u8": "u1", "u16": "u2",
    "u32": "u4", "u64": "u8", "f32": "f4", "f64": "f8", "c64": "c8", "c128": "c16",
}


class Fault(Exception):
    """The result is not what it should be."""


def need(condition, text):
    if not condition:
        raise Fault(text)


def same_form(got, want):
    need(got.dtype == want.dtype, f"dtype {got.dtype} for {want.dtype}")
    need(got.shape == want.shape, f"shape {got.shape} for {want.shape}")


def same(got, want):
    """Equal bits, but that any NaN is as good as another."""
    want = np.asarray(want)
    same_form(got, want)
    equal = (got == want) & (np.signbit(got.real) == np.signbit(want.real)) | (
        (got != got) & (want != want)
    )
    need(np.all(equal), f"{got[~equal][:3]} for {want[~equal][:3]}")


def near(got, want, bound):
    """Within the bound where that is finite; NaN and infinities stand where numpy has them."""
    want = np.asarray(want)
    same_form(got, want.astype(got.dtype) if want.dtype.itemsize > got.dtype.itemsize else want)
    bound = np.broadcast_to(np.asarray(bound, dtype="f8"), want.shape)
    finite = np.isfinite(bound)
    off = np.abs(wide(got) - wide(want))
    worst = np.max(off[finite] / (bound[finite] + 1e-300), initial=0)
    need(np.all(off[finite] <= bound[finite]), f"off by {worst} bounds")
    need(not np.any(np.isfinite(got[~finite]) & np.isnan(want[~finite])), "a NaN is lost")


def wide(x):
    x = np.asarray(x)
    return x.astype("G" if x.dtype.kind == "c" else "g")


def eps(x):
    return float(np.finfo(x.dtype).eps) * (4 if x.dtype.kind == "c" else 1)


def linear(*xs):
    """In the dtype in which numpy.linalg computes."""
    xs = [x if x.dtype.kind in "fc" else x.astype("f8") for x in xs]
    return [x.astype(np.result_type(*xs)) for x in xs]


def scalar(value):
    return complex(*[float(part) for part in value]) if isinstance(value, list) else float(value)


def check_product(product, got, a, b, length):
    plain = np.asarray(product(a, b))
    if plain.dtype.kind not in "fc":
        return same(got, plain)
    exact = np.asarray(product(wide(a), wide(b)))
    sizes = np.asarray(product(np.abs(wide(a)), np.abs(wide(b))))
    need(got.dtype == plain.dtype, f"dtype {got.dtype} for {plain.dtype}")
    return near(got, exact, sizes * eps(got) * (length + 4))


def check_matmul(case, got, a, b):
    check_product(np.matmul, got, a, b, a.shape[-1])


def check_dot(case, got, a, b):
    np.dot(a, b)
    check_product(np.dot, got, a, b, a.shape[-1] if a.ndim else 1)


def check_tensordot(case, got, a, b):
    axes = case["params"].get("axes", 2)
    np.tensordot(a, b, axes)
    check_product(lambda x, y: np.tensordot(x, y, axes), got, a, b, a.size)


def scaled(case, got, xs, product, last):
    alpha = scalar(case["params"].get("alpha", 1))
    beta = scalar(case["params"].get("beta", 0))
    xs = linear(*xs)
    dtype = np.result_type(xs[0].dtype, *[s for s in (alpha, beta) if isinstance(s, complex)])
    need(got.dtype == dtype, f"dtype {got.dtype} for {dtype}")
    exact, sizes = product(*[wide(x) for x in xs]), product(*[np.abs(wide(x)) for x in xs])
    exact, sizes = alpha * exact, abs(alpha) * sizes
    if beta != 0:
        exact, sizes = exact + beta * wide(xs[last]), sizes + abs(beta) * np.abs(wide(xs[last]))
    near(got, exact.astype(got.dtype), sizes * eps(got) * (xs[0].size + 8))


def check_gemm(case, got, *xs):
    def product(a, b, *_):
        turn = [case["params"].get(name, False) for name in ("trans_a", "trans_b")]
        return (a.T if turn[0] else a) @ (b.T if turn[1] else b)

    scaled(case, got, xs, product, 2)


def check_syrk(case, got, *xs):
    scaled(case, got, xs, lambda a, *_: a @ a.T, 1)


def norms(x):
    return np.sqrt(np.sum(np.abs(wide(x)) ** 2, axis=(-2, -1)))


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def check_cholesky(case, got, a):
    want = np.linalg.cholesky(a)
    same_form(got, want)
    size = a.shape[-1]
    need(np.all(np.triu(got, 1) == 0), "not zero above the diagonal")
    diagonal = np.diagonal(got, axis1=-2, axis2=-1)
    need(np.all(diagonal.real > 0) and np.all(diagonal.imag == 0), "the diagonal is not positive")
    lower = np.tril(wide(a))
    whole = lower + adjoint(np.tril(lower, -1))
    off = norms(whole - wide(got) @ adjoint(wide(got)))
    need(np.all(off <= 4 * (size + 4) * eps(got) * norms(whole)), f"a - l l^H is {off}")


def check_trsm(case, got, a, b):
    params = case["params"]
    a, b = linear(a, b)
    same_form(got, b)
    a = np.tril(a) if params.get("lower", True) else np.triu(a)
    a = a.T if params.get("trans", False) else a
    left, right = (got, a) if params.get("side") == "right" else (a, got)
    off = np.abs(wide(left) @ wide(right) - wide(b))
    sizes = np.abs(wide(left)) @ np.abs(wide(right))
    need(np.all(off <= sizes * eps(got) * (len(a) + 4)), f"residual {np.max(off, initial=0)}")


LAST_Q = {}


def check_qr(case, got, a):
    plain = np.linalg.qr(a)
    want = plain.Q if case["params"]["part"] == "q" else plain.R
    same_form(got, want)
    bound = 8 * (max(a.shape[-2:]) + 4) * eps(got)
    if case["params"]["part"] == "q":
        unit = adjoint(wide(got)) @ wide(got)
        off = norms(unit - np.eye(unit.shape[-1]))
        need(np.all(off <= bound * (1 + unit.shape[-1])), f"q^H q - 1 is {off}")
        LAST_Q["q"] = got
        return
    need(np.all(np.tril(got, -1) == 0), "not zero below the diagonal")
    diagonal = np.diagonal(got, axis1=-2, axis2=-1)
    need(np.all(diagonal.real >= 0) and np.all(diagonal.imag == 0), "the diagonal is negative")
    off = norms(wide(LAST_Q["q"]) @ wide(got) - wide(a))
    need(np.all(off <= bound * norms(a)), f"a - q r is {off}")


def check_norm(case, got, x):
    order = case["params"].get("ord")
    order = np.inf if order == "inf" else order
    want = np.asarray(np.linalg.norm(x, order))
    same_form(got, want)
    exact = np.asarray(np.linalg.norm(wide(x), order))
    near(got, exact, np.abs(exact) * eps(got) * (np.log2(x.size + 1) + 8))


def check_trace(case, got, x):
    want = np.asarray(np.trace(x))
    if want.dtype.kind not in "fc":
        return same(got, want)
    need(got.dtype == want.dtype, f"dtype {got.dtype} for {want.dtype}")
    sizes = np.asarray(np.trace(np.abs(wide(x))))
    return near(got, np.asarray(np.trace(wide(x))), sizes * eps(got) * 8)


def check_diag(case, got, x):
    same(got, np.diag(x))


def check_eye(case, got):
    same(got, np.eye(case["params"]["n"], dtype=DTYPES[case["params"]["dtype"]]))


def check_fft(case, got, x):
    axis = case["params"].get("axis", -1)
    transform = np.fft.ifft if case["params"].get("inverse", False) else np.fft.fft
    same_form(got, transform(x, axis=axis))
    exact = transform(wide(x), axis=axis)
    length = x.shape[axis]
    sizes = np.sqrt(np.sum(np.abs(wide(x)) ** 2, axis=axis, keepdims=True))
    if transform is np.fft.ifft:
        sizes = sizes / length
    # Lengths with large prime factors go through three transforms of more than twice the length.
    near(got, exact, sizes * float(np.finfo(got.dtype).eps) * 24 * (np.log2(length) + 2))


def shifted(x, offset, boundary, value):
    places, outside = [], np.zeros(x.shape, "?")
    for axis, (step, length) in enumerate(zip(offset, x.shape)):
        place = np.arange(length) + step
        line = (place < 0) | (place >= length)
        outside |= line.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        place = place % length if boundary == "wrap" and length else place
        places.append(np.clip(place, 0, length - 1))
    moved = x[np.ix_(*places)] if x.ndim else x
    if boundary != "constant":
        return moved
    return np.where(outside, np.asarray(value).astype(x.dtype), moved)


def check_stencil(case, got, x):
    params = case["params"]
    boundary, value = params.get("boundary", "constant"), params.get("value", 0)
    total = None
    for offset, weight in zip(params["offsets"], params["weights"]):
        offset = offset if isinstance(offset, list) else [offset]
        weight = complex(*weight) if isinstance(weight, list) else weight
        # Weights of one kernel have one dtype.
        if any(isinstance(w, float) for w in params["weights"]) and not isinstance(weight, complex):
            weight = float(weight)
        if any(isinstance(w, list) for w in params["weights"]):
            weight = complex(weight)
        term = weight * shifted(x, offset, boundary, value)
        total = term if total is None else total + term
    total = np.asarray(total)
    if total.dtype.kind == "c":
        sizes = np.max(np.abs(total), initial=1) * len(params["weights"])
        return near(got, total, np.full(total.shape, sizes * eps(total) * 4))
    return same(got, total)


def main():
    with open(f"{FOLDER}/cases.json", encoding="utf-8") as file:
        cases = json.load(file)
    raw = np.fromfile(f"{FOLDER}/data.bin", dtype="u1")

    def array(form):
        dtype = np.dtype(DTYPES[form["dtype"]])
        size = int(np.prod(form["shape"], dtype="i8")) * dtype.itemsize
        return raw[form["offset"] : form["offset"] + size].view(dtype).reshape(form["shape"])

    for number, case in enumerate(cases):
        xs = [array(form) for form in case["inputs"]]
        check = globals()["check_" + case["kernel"]]
        forms = " ".join(f"{x.dtype}{x.shape}" for x in xs)
        what = f"case {number}: {case['kernel']} {case['params']} {forms}"
        result = case["result"]
        if "error" in result:
            # What numpy gives stands in for our result: it must fail as we do.
            try:
                numpy_only(case, xs)
            except (ValueError, IndexError, TypeError) as error:
                names = [kind.__name__ for kind in type(error).__mro__]
                # AxisError is an IndexError.
                names += ["AxisError"] * ("IndexError" in names)
                if result["error"] not in names:
                    print(f"{what}: {result} for {type(error).__name__} {error}")
            else:
                print(f"{what}: {result}, numpy has no error")
            continue
        try:
            check(case, array(result), *xs)
        except Fault as fault:
            print(f"{what}: {fault}")
        except (ValueError, IndexError) as error:
            print(f"{what}: a result for {error}")
    print("checked")


def numpy_only(case, xs):
    kernel, params = case["kernel"], case["params"]
    functions = {
        "matmul": lambda a, b: np.matmul(a, b),
        "dot": lambda a, b: np.dot(a, b),
        "tensordot": lambda a, b: np.tensordot(a, b, params.get("axes", 2)),
        "cholesky": np.linalg.cholesky,
        "qr": np.linalg.qr,
        "norm": lambda x: np.linalg.norm(x, {"inf": np.inf}.get(order := params.get("ord"), order)),
        "trace": np.trace,
        "diag": np.diag,
        "fft": lambda x: np.fft.fft(x, axis=params.get("axis", -1)),
    }
    functions[kernel](*xs)


if __name__ == "__main__":
    if int(np.__version__.split(".")[0]) < 2:
        sys.exit(f"numpy {np.__version__} is older than 2")
    main()
