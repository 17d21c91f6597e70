# Sourced by the other scripts: the repository's root, the target folder, the commit.
# Sets no variable of Open MPI: those belong to single children (run_openmpi).

set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac
export CARGO_TARGET_DIR=$target
mkdir -p "$target/ci" || exit 1

# Compiled into `rdask-hpc --version`. The same value in every script, or cargo builds again.
if [ -z "${RDASK_COMMIT:-}" ]; then
    RDASK_COMMIT=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
fi
export RDASK_COMMIT

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\n' "$*" >&2; }

# The python that has numpy 2 or newer: ours under the target folder, else the system's.
python_with_numpy() {
    for python in "${RDASK_TEST_PYTHON:-}" "$target/python/bin/python3" python3; do
        if [ -n "$python" ] && "$python" -c 'import sys, numpy
sys.exit(int(numpy.__version__.split(".")[0]) < 2)' 2>/dev/null; then
            printf '%s\n' "$python"
            return 0
        fi
    done
    return 1
}

# What cargo needs to build what this machine can: default features, or none without hwloc.
cargo_features() {
    if ! "$root/ci/features.sh" 2>/dev/null | grep -qx 'build hwloc'; then
        printf '%s\n' --no-default-features
    fi
}

# Runs Open MPI's mpirun as root and with more ranks than cores, for this child only. The
# PRTE names are those of Open MPI 5.
run_openmpi() {
    env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
        PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
        OMPI_MCA_rmaps_base_oversubscribe=1 \
        PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe "$@"
}
