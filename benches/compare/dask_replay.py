"""Runs a graph of `graph generate` in Dask: prints the seconds from its submission to its end.

usage: dask_replay.py GRAPH.json WORKERS SATURATION

GRAPH.json comes from `graph export`. A task spins for its `us`, then makes `size` bytes. Each
worker is a process with one thread, so that tasks that spin do not wait for each other's
interpreter. SATURATION is distributed.scheduler.worker-saturation: 1.1, Dask's default, or inf.
"""

import json
import sys
import time

import dask
from dask._task_spec import Task, TaskRef
from distributed import Client, LocalCluster, wait


def work(size, us, *inputs):
    end = time.perf_counter() + us * 1e-6
    result = bytes(size)
    while time.perf_counter() < end:
        pass
    return result


def load(path):
    """Dask's graph, and the keys of the tasks that nobody reads."""
    with open(path) as file:
        tasks = json.load(file)["tasks"]
    graph, read = {}, set()
    for task in tasks:
        run, deps = task["run"], task.get("deps", [])
        if run["kernel"] != "bytes":
            raise SystemExit(f"error: no twin for the kernel {run['kernel']}")
        inputs = [TaskRef(key) for key in deps]
        graph[task["key"]] = Task(task["key"], work, run["size"], run.get("us", 0), *inputs)
        read.update(deps)
    return graph, [key for key in graph if key not in read]


def main():
    graph, sinks = load(sys.argv[1])
    workers, saturation = int(sys.argv[2]), float(sys.argv[3])
    dask.config.set({"distributed.scheduler.worker-saturation": saturation})
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster, Client(cluster) as client:
        client.wait_for_workers(workers)
        start = time.perf_counter()
        wait(client.get(graph, sinks, sync=False, optimize_graph=False))
        print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
