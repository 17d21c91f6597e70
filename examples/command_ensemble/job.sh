#!/bin/bash
# A Slurm job that runs the ensemble, and what failed once more: `sbatch job.sh`.
# jobscripts/slurm.sh is the version for real work: it finds out what srun takes.
#
# CHANGE: nodes, ranks, time. One rank schedules, the others run the model, one run a core.
#SBATCH --job-name=ensemble
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --time=00:10:00
#SBATCH --no-kill
set -u

# CHANGE: pmix with Open MPI, pmi2 with MPICH.
export LAUNCH="srun --mpi=${MPI:-pmix} --no-kill --kill-on-bad-exit=0 --wait=0"
./sweep.sh --output results
code=$?
# Whatever failed for a passing reason (a full disk, a licence server) gets a second chance.
if [ $code = 1 ]; then
    ./sweep.sh --output results --retry-failed
    code=$?
fi
exit $code
