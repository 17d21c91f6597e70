"""Dask's static order of a graph: reads `task input input ...` lines, prints each task's position."""

import sys

try:
    from dask._task_spec import Task, TaskRef
    from dask.order import order
except ImportError:
    sys.exit("no dask")


def nothing(*_):
    return None


graph = {}
for line in sys.stdin:
    task, *inputs = map(int, line.split())
    refs = [TaskRef(f"t{i}") for i in inputs]
    graph[f"t{task}"] = Task(f"t{task}", nothing, *refs)
positions = order(graph)
for place in range(len(graph)):
    print(positions[f"t{place}"])
