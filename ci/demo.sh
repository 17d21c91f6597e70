#!/usr/bin/env bash
# The main job on real input: writes a 200 MB array with numpy, makes the graph, runs it under
# `mpirun -n 3` and compares every result with numpy. Everything lies in
# $CARGO_TARGET_DIR/demo. `--gib N` writes an array of N GiB instead.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

size=()
while [ $# != 0 ]; do
    case $1 in
        --gib) size=(--gib "${2:?--gib needs a number}") && shift 2 ;;
        *) say "error: unknown option $1" && exit 2 ;;
    esac
done

"$root/ci/install.sh"
"$root/ci/build.sh" || exit 1
if ! python=$(python_with_numpy); then
    say 'error: the demo writes its input with numpy 2, which is not there'
    say 'help: python3 -m venv target/python && target/python/bin/pip install "numpy>=2"'
    exit 1
fi

example=$root/examples/npy_statistics
demo=$target/demo
mkdir -p "$demo" || exit 1
"$python" "$example/make_input.py" "${size[@]}" "$demo/temperature.npy" || exit 1
"$python" "$example/make_graph.py" "$demo/temperature.npy" "$demo/graph.json" || exit 1

binary=$target/release/rdask-hpc
run=("$binary" "$demo/graph.json" --output "$demo/results" --overwrite)
if have mpirun.openmpi && [ -e "$target/release/librdask_mpi_openmpi.so" ]; then
    command=(run_openmpi mpirun.openmpi -n 3 "${run[@]}")
elif have mpirun.mpich && [ -e "$target/release/librdask_mpi_mpich.so" ]; then
    command=(mpirun.mpich -n 3 "${run[@]}")
elif have mpirun && [ -e "$target/release/librdask_mpi.so" ]; then
    command=(run_openmpi mpirun -n 3 "${run[@]}")
else
    say 'not run: mpirun (no MPI found); the same job with local processes instead:'
    command=("${run[@]}" --workers 2)
fi
shown=("${command[@]}")
[ "${shown[0]}" = run_openmpi ] && shown=("${shown[@]:1}")
printf '\n$ %s\n' "${shown[*]}"
"${command[@]}" </dev/null || { code=$?; say "error: the run ended with $code"; exit "$code"; }

echo
"$python" "$example/check.py" "$demo/temperature.npy" "$demo/results" || exit 1
cat <<END

The results are .npy files, listed in $demo/results/manifest.json. To look at them:
  $python -c "import numpy; print(numpy.load('$demo/results/anomaly.npy', mmap_mode='r'))"
END
