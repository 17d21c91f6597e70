#!/bin/bash
# A Slurm job that factors a matrix of 8,192 rows in tiles: `sbatch job.sh`.
# jobscripts/slurm.sh is the version for real work: it finds out what srun takes.
#
# CHANGE: nodes, ranks, cores for each rank, time. One rank schedules, the others work.
#SBATCH --job-name=cholesky
#SBATCH --nodes=1
#SBATCH --ntasks=3
#SBATCH --cpus-per-task=4
#SBATCH --time=00:15:00
set -eu
RDASK=${RDASK:-rdask-hpc}

"$RDASK" graph generate cholesky --n 8192 --block 512 --real -o graph.bin

# CHANGE: pmix with Open MPI, pmi2 with MPICH.
srun --mpi=${MPI:-pmix} --kill-on-bad-exit=0 --wait=0 "$RDASK" graph.bin --output results
# CHANGE: python (with numpy 2).
${PYTHON:-python3} check.py results --block 512
