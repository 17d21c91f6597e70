#!/bin/bash
# A Slurm job that multiplies two matrices in tiles: `sbatch job.sh`.
# jobscripts/slurm.sh is the version for real work: it finds out what srun takes.
#
# CHANGE: nodes, ranks, cores for each rank, time. One rank schedules, the others work.
#SBATCH --job-name=tiled-matmul
#SBATCH --nodes=1
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=16
#SBATCH --time=00:30:00
set -eu
RDASK=${RDASK:-rdask-hpc}

# Two random matrices of 16,384 rows, 2 GiB each, and the graph of their product in tiles of 1,024.
# CHANGE: python (with numpy 2), where tiled_matmul was built (target/release/examples).
${PYTHON:-python3} make_input.py --rows 16384
${TILED_MATMUL:-tiled_matmul} a.npy b.npy --rows 16384 --tile 1024 -o graph.bin

# CHANGE: pmix with Open MPI, pmi2 with MPICH.
srun --mpi=${MPI:-pmix} --kill-on-bad-exit=0 --wait=0 "$RDASK" graph.bin --output results
${PYTHON:-python3} check.py a.npy b.npy results
