#!/bin/bash
# A Slurm job that takes statistics of an array of 2 GiB: `sbatch job.sh`.
# jobscripts/slurm.sh is the version for real work: it finds out what srun takes.
#
# CHANGE: nodes, ranks, cores for each rank, time. One rank schedules, the others work.
#SBATCH --job-name=npy-statistics
#SBATCH --nodes=1
#SBATCH --ntasks=3
#SBATCH --cpus-per-task=4
#SBATCH --time=00:30:00
set -eu
RDASK=${RDASK:-rdask-hpc}

# CHANGE: python (with numpy 2), the size.
${PYTHON:-python3} make_input.py temperature.npy --gib 2
${PYTHON:-python3} make_graph.py temperature.npy graph.json

# CHANGE: pmix with Open MPI, pmi2 with MPICH.
srun --mpi=${MPI:-pmix} --kill-on-bad-exit=0 --wait=0 "$RDASK" graph.json --output results
${PYTHON:-python3} check.py temperature.npy results
