#!/bin/sh
# A small model: the logistic map x -> r x (1 - x) from x = K/11, 1000 steps; prints the mean of x.
# usage: logistic.sh R K      R in thousandths. Above 4000 the map diverges, which is an error.
exec awk -v r="$1" -v k="$2" 'BEGIN {
    r = r / 1000
    x = k / 11
    for (step = 1; step <= 1000; step++) {
        x = r * x * (1 - x)
        if (x < 0) {
            printf "diverged at step %d\n", step > "/dev/stderr"
            exit 3
        }
        sum += x
    }
    printf "%.17g\n", sum / 1000
}'
