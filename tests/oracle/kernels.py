"""Computes with numpy what the kernels must give.

Reads FOLDER/cases.json and FOLDER/inputs.bin, writes FOLDER/expected.json and FOLDER/expected.bin.
A case has a kernel, its parameters, its inputs (dtype, shape, offset into inputs.bin) and a class:
exact (same bits), ulp (2 ulp from the correctly rounded value, which comes from long double), sum
(within the bound of pairwise summation, which is sent along for each element) or special (numpy's
own value, within its error, which is sent along too).
"""

import base64
import json
import sys
import warnings

import numpy as np

import reductions
import shape
from reductions import widest

warnings.simplefilter("ignore")
np.seterr(all="ignore")
FOLDER = sys.argv[1]
DTYPES = {
    "bool": "?", "i8": "i1", "i16": "i2", "i32": "i4", "i64": "i8", "u8": "u1", "u16": "u2",
    "u32": "u4", "u64": "u8", "f32": "f4", "f64": "f8", "c64": "c8", "c128": "c16",
}
UNITS = "Y M W D h m s ms us ns ps fs as".split()
DTYPES["f16"] = "f2"
DTYPES.update({f"{kind}8[{unit}]": f"{kind}8[{unit}]" for kind in "mM" for unit in UNITS})
NAMES = {np.dtype(code): name for name, code in DTYPES.items()}


def wide8(x):
    """Where numpy computes in float16, the kernels compute in f32."""
    if isinstance(x, np.ndarray) and x.dtype.itemsize == 1:
        return x.astype("f4")
    return x


def inexact(function):
    return lambda *xs: function(*[wide8(x) for x in xs])


FUNCTIONS = {
    name: getattr(np, name)
    for name in "where minimum maximum abs sign floor ceil trunc isnan isfinite isinf conj".split()
}
FUNCTIONS["real"] = lambda x: np.real(np.asarray(x))
FUNCTIONS["imag"] = lambda x: np.imag(np.asarray(x))
FUNCTIONS["round"] = lambda x: np.round(x.astype("f4") if np.asarray(x).dtype == bool else x)
for name in (
    "sqrt cbrt exp expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan arctan2 sinh cosh "
    "tanh hypot"
).split():
    FUNCTIONS[name] = inexact(getattr(np, name))
CONSTANTS = {"pi": np.pi, "e": np.e, "nan": np.nan, "inf": np.inf}


def evaluate(text, inputs):
    names = dict(CONSTANTS)
    names.update({"abcdefghijklmnopqrstuvwxyz"[i]: x for i, x in enumerate(inputs)})
    return np.asarray(eval(text, {**FUNCTIONS, **names}))


def generator(params):
    numbers = np.random.Generator(np.random.Philox(key=[params["seed"], 0], counter=[2**64 - 1] * 4))
    low, high = params.get("low", 0.0), params.get("high", 1.0)
    return low + (high - low) * numbers.random(params["shape"])


def slices(ranges):
    found = []
    for each in ranges:
        if each is None:
            found.append(slice(None))
        elif isinstance(each, list):
            found.append(slice(*each))
        else:
            found.append(each)
    return tuple(found)


def number(value):
    if isinstance(value, list):
        return complex(*[float(part) for part in value])
    if value == "NaT":
        return np.datetime64("NaT")
    return float(value) if isinstance(value, str) else value


def special(expr, value, exact):
    """What numpy's complex functions give, but for factors of its expm1 that overflow alone."""
    if "expm1" in expr:
        for part, true in ((value.real, exact.real), (value.imag, exact.imag)):
            part[...] = np.where(np.isinf(part) & np.isfinite(true), true, part)
    return value


def slack(expr, value):
    """How far numpy's complex functions may be off, beside the longer of both parts."""
    parts = np.abs(np.stack([value.real, value.imag]))
    limits = np.finfo(parts.dtype)
    longest = np.where(np.isfinite(parts), parts, 0).max(axis=0)
    # Its log1p adds 1 before all else, and its powers round each product.
    least = 1 if "log1p" in expr else limits.tiny
    steps = 256 if "**" in expr else 16
    return steps * limits.eps * np.maximum(longest, least).astype("f8")


def compute(case, xs):
    kernel, params = case["kernel"], case["params"]
    if kernel == "map":
        plain = evaluate(params["expr"], xs)
        if case["class"] == "special":
            exact = evaluate(params["expr"], [widest(x) for x in xs]).astype(plain.dtype)
            return special(params["expr"], plain, exact), slack(params["expr"], plain)
        if case["class"] != "ulp":
            return plain, None
        return evaluate(params["expr"], [widest(x) for x in xs]).astype(plain.dtype), None
    if kernel in reductions.KERNELS:
        return reductions.KERNELS[kernel](kernel, params, xs)
    if kernel == "clip":
        # Strings are the floats that JSON lacks.
        bounds = {name: number(value) for name, value in params.items()}
        return np.asarray(np.clip(xs[0], bounds.get("min"), bounds.get("max"))), None
    if kernel == "astype":
        return xs[0].astype(DTYPES[params["dtype"]]), None
    if kernel == "matmul":
        plain = np.asarray(np.matmul(*xs))
        if plain.dtype.kind not in "fc":
            return plain, None
        magnitude = np.matmul(*[np.abs(widest(x)) for x in xs])
        exact = np.asarray(np.matmul(*[widest(x) for x in xs])).astype(plain.dtype)
        inner = xs[0].shape[-1]
        return exact, np.asarray(magnitude * np.finfo(plain.dtype).eps * (inner + 4))
    if kernel == "transpose":
        return xs[0].transpose(params.get("axes")), None
    if kernel == "slice":
        return np.asarray(xs[0][slices(params["ranges"])]), None
    if kernel == "concatenate":
        return np.concatenate(xs, axis=params.get("axis", 0)), None
    if kernel == "identity":
        return xs[0], None
    if kernel == "full":
        return np.full(params["shape"], number(params["value"]), DTYPES[params["dtype"]]), None
    if kernel == "arange":
        steps = np.arange(params["count"]).astype("f8" if params["dtype"][0] == "f" else "i8")
        values = params.get("start", 0) + steps * params.get("step", 1)
        return values.astype(DTYPES[params["dtype"]]), None
    if kernel == "data":
        raw = base64.b64decode(params["base64"])
        flat = np.frombuffer(raw, DTYPES[params["dtype"]])
        return flat.reshape(params.get("shape", -1)), None
    if kernel == "random":
        return np.asarray(generator(params)), None
    if kernel == "load_npy":
        x = xs[0]
        order = ">" if case["big_endian"] else "<"
        stored = np.asarray(x, dtype=x.dtype.newbyteorder(order), order=case["order"])
        with open(f"{FOLDER}/{params['path']}", "wb") as file:
            np.lib.format.write_array(file, stored, version=tuple(case["version"]))
        ranges = params.get("region") or [None] * x.ndim
        return x[tuple(slice(None) if r is None else slice(*r) for r in ranges)], None
    if kernel == "store_npy":
        return xs[0], None
    if kernel in shape.KERNELS:
        return np.asarray(shape.KERNELS[kernel](params, xs)), None
    raise KeyError(kernel)


def main():
    with open(f"{FOLDER}/cases.json", encoding="utf-8") as file:
        cases = json.load(file)
    raw = np.fromfile(f"{FOLDER}/inputs.bin", dtype="u1")
    answers = []
    with open(f"{FOLDER}/expected.bin", "wb") as out:

        def put(array):
            offset = out.tell()
            out.write(np.ascontiguousarray(array).tobytes())
            return offset

        for case in cases:
            xs = []
            for given in case["inputs"]:
                dtype = np.dtype(DTYPES[given["dtype"]])
                size = int(np.prod(given["shape"], dtype="i8")) * dtype.itemsize
                part = raw[given["offset"]:given["offset"] + size]
                xs.append(part.view(dtype).reshape(given["shape"]))
            try:
                value, tolerance = compute(case, xs)
            except (ValueError, TypeError, OverflowError, IndexError) as error:
                kind = "TypeError" if isinstance(error, TypeError) else type(error).__name__
                answers.append({"error": kind, "message": str(error)})
                continue
            answer = {
                "dtype": NAMES[value.dtype], "shape": list(value.shape), "offset": put(value),
            }
            if tolerance is not None:
                answer["tolerance"] = put(tolerance.astype("f8"))
            answers.append(answer)
    with open(f"{FOLDER}/expected.json", "w", encoding="utf-8") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    if int(np.__version__.split(".")[0]) < 2:
        sys.exit(f"numpy {np.__version__} is older than 2")
    main()
