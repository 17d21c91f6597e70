#!/bin/bash
# A Slurm job that runs the three tasks of graph.json: `sbatch job.sh`.
# jobscripts/slurm.sh is the version for real work: it finds out what srun takes.
#
# CHANGE: nodes, ranks, cores for each rank, time. One rank schedules, the others work.
#SBATCH --job-name=hello
#SBATCH --nodes=1
#SBATCH --ntasks=2
#SBATCH --cpus-per-task=1
#SBATCH --time=00:05:00
set -eu
RDASK=${RDASK:-rdask-hpc}

# CHANGE: pmix with Open MPI, pmi2 with MPICH.
srun --mpi=${MPI:-pmix} --kill-on-bad-exit=0 --wait=0 "$RDASK" graph.json --output results
