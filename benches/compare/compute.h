/* The work of a task in Task Bench's compute-bound kernel: 64 doubles in registers, a = a * a + a
 * on each, 128 operations an iteration. metg.c and compute_plugin.c are built with the same flags,
 * so that both systems run the same machine code. */
#ifndef COMPUTE_H
#define COMPUTE_H

#include <stdint.h>

#define COMPUTE_NUMBERS 64

static double compute(int64_t iterations)
{
    double a[COMPUTE_NUMBERS], sum = 0.0;

    /* Between -1 and 0 the numbers stay bounded and come near 0 too slowly to become denormal. */
    for (int i = 0; i < COMPUTE_NUMBERS; i++)
        a[i] = -0.25 - i / 256.0;
    for (int64_t n = 0; n < iterations; n++)
        for (int i = 0; i < COMPUTE_NUMBERS; i++)
            a[i] = a[i] * a[i] + a[i];
    for (int i = 0; i < COMPUTE_NUMBERS; i++)
        sum += a[i];
    return sum;
}

#endif
