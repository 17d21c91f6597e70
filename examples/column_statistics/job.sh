#!/bin/bash
# A Slurm job that takes statistics of a file four times as large as the memory of its workers:
# `sbatch job.sh`.
# jobscripts/slurm.sh is the version for real work: it finds out what srun takes.
#
# CHANGE: nodes, ranks, cores for each rank, time. One rank schedules, the others work.
#SBATCH --job-name=column-statistics
#SBATCH --nodes=1
#SBATCH --ntasks=3
#SBATCH --cpus-per-task=4
#SBATCH --time=00:30:00
set -eu
RDASK=${RDASK:-rdask-hpc}

# 16 GiB; two workers with 2 GiB of memory each. CHANGE: python (with numpy 2), the size.
${PYTHON:-python3} make_input.py table.npy --gib 16
${PYTHON:-python3} make_graph.py table.npy graph.json

# CHANGE: pmix with Open MPI, pmi2 with MPICH.
srun --mpi=${MPI:-pmix} --kill-on-bad-exit=0 --wait=0 "$RDASK" --memory-limit 2GiB graph.json --output results
${PYTHON:-python3} check.py table.npy results
