"""The graphs of benches/cluster.rs in Dask: prints seconds for one of them.

usage: dask_twin.py trivial|chain COUNT THREADS
"""

import sys
import time

import dask
import numpy as np
from distributed import Client, LocalCluster, wait


def identity(x):
    return x


def add_one(x):
    return x + 1


def trivial(client, count):
    """One array and `count` tasks that read it."""
    x = client.submit(np.full, 1, 1.0, pure=False)
    wait(x)
    start = time.perf_counter()
    futures = client.map(identity, [x] * count, pure=False)
    wait(futures)
    return time.perf_counter() - start


def chain(client, count):
    """`count` tasks, each reading the one before."""
    graph = {"t-0": (np.full, 1, 0.0)}
    for i in range(1, count + 1):
        graph[f"t-{i}"] = (add_one, f"t-{i - 1}")
    start = time.perf_counter()
    result = client.get(graph, f"t-{count}", optimize_graph=False)
    seconds = time.perf_counter() - start
    assert result[0] == count, result
    return seconds


def main():
    what, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    dask.config.set({"distributed.scheduler.worker-saturation": float("inf")})
    with LocalCluster(
        n_workers=1, threads_per_worker=threads, processes=True, dashboard_address=None
    ) as cluster, Client(cluster) as client:
        print({"trivial": trivial, "chain": chain}[what](client, count))


if __name__ == "__main__":
    main()
