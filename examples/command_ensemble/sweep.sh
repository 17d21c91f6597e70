#!/bin/sh
# 1,000 runs of the model: 100 values of r, 10 starting points. Arguments go to the sweep, so
#   ./sweep.sh                        runs all of them on this machine
#   LAUNCH="mpirun -n 4" ./sweep.sh   runs them under a launcher
#   ./sweep.sh --retry-failed         runs again what failed or is missing
#   ./sweep.sh --dry-run              shows the commands
model=$(dirname "$0")/logistic.sh
# LAUNCH is one or more words, so it stands without quotes.
# shellcheck disable=SC2086
exec ${LAUNCH:-} "${RDASK:-rdask-hpc}" sweep \
    --param r="${R:-3050..4040..10}" --param k="${K:-1..10}" \
    --timeout 60 "$@" -- "$model" '{r}' '{k}'
