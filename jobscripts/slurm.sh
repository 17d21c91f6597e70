#!/bin/bash
# A Slurm job that runs one graph. Copy it, change what is marked, `sbatch slurm.sh`.
#
# CHANGE: nodes, workers per node (one per NUMA node is a good start: `rdask-hpc topology`),
# cores per worker, time.
#SBATCH --job-name=rdask
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=01:00:00
#SBATCH --exclusive
# The job outlives a node that dies; --no-kill must stand here and at srun.
#SBATCH --no-kill
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -u

# CHANGE: the graph, where results go (a folder that all nodes see), and where the program is.
GRAPH=${GRAPH:-graph.bin}
OUTPUT=${OUTPUT:-results-$SLURM_JOB_ID}
RDASK=${RDASK:-rdask-hpc}

# srun and the MPI that rdask-hpc was built for must speak the same language: pmix with Open MPI,
# pmi2 with MPICH.
program=$(command -v "$RDASK") || { echo "error: no program '$RDASK' (set RDASK)" >&2; exit 2; }
here=$(dirname "$(readlink -f "$program")")
offered=$(srun --mpi=list 2>&1)
if [ -e "$here/librdask_mpi_openmpi.so" ] && grep -qw pmix <<<"$offered"; then
    mpi=pmix
elif [ -e "$here/librdask_mpi_mpich.so" ] && grep -qw pmi2 <<<"$offered"; then
    mpi=pmi2
else
    echo "error: srun offers no MPI that rdask-hpc was built for (see make mpi): $offered" >&2
    exit 2
fi

# Rank 0 schedules, the others work. Newer versions of srun do not take --cpus-per-task from
# sbatch; --wait=0 lets ranks end at different times.
srun --mpi="$mpi" --no-kill --kill-on-bad-exit=0 --wait=0 \
    --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    "$RDASK" "$GRAPH" --output "$OUTPUT"
code=$?

# 0: all results are there; 1: a task failed, the others' results are kept; 2: the graph or an
# option is wrong; 3: the cluster failed.
echo "rdask-hpc ended with $code"
exit $code
