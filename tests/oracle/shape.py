"""numpy's part of the kernels that move elements: a function of parameters and inputs for each."""

import numpy as np


def axes(value):
    return tuple(value) if isinstance(value, list) else value


def block(params, xs):
    def nested(grid, part):
        if not grid:
            return part[0]
        step = len(part) // grid[0]
        return [nested(grid[1:], part[i * step:(i + 1) * step]) for i in range(grid[0])]

    return np.block(nested(params["grid"], xs))


def pad(params, xs):
    value = params.get("value", 0)
    value = np.array("NaT", xs[0].dtype) if value == "NaT" else value
    value = float(value) if isinstance(value, str) else value
    value = complex(*value) if isinstance(value, list) else value
    return np.pad(xs[0], params["widths"], constant_values=value)


def take(params, xs):
    return np.take(xs[0], np.array(params["indices"], "i8"), axis=params.get("axis"))


KERNELS = {
    "reshape": lambda params, xs: xs[0].reshape(params["shape"]),
    "take": take,
    "stack": lambda params, xs: np.stack(xs, axis=params.get("axis", 0)),
    "block": block,
    "broadcast_to": lambda params, xs: np.broadcast_to(xs[0], params["shape"]),
    "pad": pad,
    "flip": lambda params, xs: np.flip(xs[0], axes(params.get("axis"))),
    "roll": lambda params, xs: np.roll(xs[0], axes(params["shift"]), axes(params.get("axis"))),
    "expand_dims": lambda params, xs: np.expand_dims(xs[0], axes(params["axis"])),
    "squeeze": lambda params, xs: np.squeeze(xs[0], axes(params.get("axis"))),
}
