"""Writes a time x lat x lon array of monthly temperatures (f64) into one .npy file.

The numbers are made up but look like the real thing: warm tropics, seasons that turn at the
equator, a slow trend and weather. The same seed gives the same bytes.
"""

import argparse

import numpy as np

DEFAULT_GRID = 181, 576  # one degree by five eighths
DEFAULT_MONTHS = 240  # 200 MB
MONTHS_AT_ONCE = 12


def months_of(gib, grid):
    """Whole years that fill at least so many GiB."""
    year_bytes = grid[0] * grid[1] * 8 * 12
    return -(-int(gib * 2**30) // year_bytes) * 12


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--gib", type=float, help="size in GiB [default: 200 MB]")
    parser.add_argument("--months", type=int, default=DEFAULT_MONTHS, help="whole years")
    parser.add_argument("--grid", type=int, nargs=2, default=DEFAULT_GRID, metavar=("LAT", "LON"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lats, lons = options.grid
    months = months_of(options.gib, options.grid) if options.gib else options.months
    if months < MONTHS_AT_ONCE or months % MONTHS_AT_ONCE:
        raise SystemExit("error: --months must be whole years")

    lat = np.linspace(-90.0, 90.0, lats)[:, None]
    lon = np.linspace(0.0, 360.0, lons, endpoint=False)[None, :]
    climate = 14.0 + 26.0 * (np.cos(np.radians(lat)) - 0.6) + 2.0 * np.cos(np.radians(2 * lon))
    season = 12.0 * np.sin(np.radians(lat))
    rng = np.random.default_rng(options.seed)

    array = np.lib.format.open_memmap(
        options.file, mode="w+", dtype=np.float64, shape=(months, lats, lons)
    )
    for first in range(0, months, MONTHS_AT_ONCE):
        month = np.arange(first, first + MONTHS_AT_ONCE)[:, None, None]
        weather = rng.normal(scale=1.5, size=(MONTHS_AT_ONCE, lats, lons))
        turn = np.cos(2 * np.pi * (month - 6) / 12)
        array[first : first + MONTHS_AT_ONCE] = climate + season * turn + 0.002 * month + weather
    array.flush()
    print(f"{options.file}: {months} months x {lats} x {lons}, {array.nbytes / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
