#!/bin/bash
#SBATCH --job-name=ensemble
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --time=00:10:00
#SBATCH --no-kill
#SBATCH --output=%x-%j.log
# One rank schedules, the others run the model; each core of theirs runs one at a time.
set -u
export LAUNCH="srun --no-kill --kill-on-bad-exit=0 --wait=0"
./sweep.sh --output results
code=$?
# Whatever failed for a passing reason (a full disk, a licence server) gets a second chance.
if [ $code = 1 ]; then
    ./sweep.sh --output results --retry-failed
    code=$?
fi
exit $code
