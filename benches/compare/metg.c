/* Task Bench's stencil_1d as a small MPI program: what METG of rdask-hpc is held against.
 *
 * usage: metg WIDTH STEPS ITERATIONS
 *
 * Each rank owns a run of points. In each step it exchanges the 16 bytes of its outermost points
 * with its neighbours and computes its points. Rank 0 prints the seconds of the slowest rank. */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "compute.h"

typedef struct {
    double number, zero;
} point;

/* Sends our outermost points and receives those beside them. */
static void exchange(point *first, point *last, point *below, point *above, int rank, int size)
{
    MPI_Request requests[4];
    MPI_Status statuses[4];
    int count = 0;

    if (rank > 0) {
        MPI_Irecv(below, 2, MPI_DOUBLE, rank - 1, 0, MPI_COMM_WORLD, &requests[count++]);
        MPI_Isend(first, 2, MPI_DOUBLE, rank - 1, 1, MPI_COMM_WORLD, &requests[count++]);
    }
    if (rank < size - 1) {
        MPI_Irecv(above, 2, MPI_DOUBLE, rank + 1, 1, MPI_COMM_WORLD, &requests[count++]);
        MPI_Isend(last, 2, MPI_DOUBLE, rank + 1, 0, MPI_COMM_WORLD, &requests[count++]);
    }
    MPI_Waitall(count, requests, statuses);
}

int main(int argc, char **argv)
{
    int rank, size;
    double start, seconds, slowest, seen = 0.0;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (argc != 4) {
        fprintf(stderr, "usage: metg WIDTH STEPS ITERATIONS\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    const int64_t width = atoll(argv[1]), steps = atoll(argv[2]), iterations = atoll(argv[3]);
    const int64_t count = width * (rank + 1) / size - width * rank / size;
    point *points = calloc((size_t)(count > 0 ? count : 1), sizeof *points);
    point below = {0}, above = {0};
    if (points == NULL || width < size) {
        fprintf(stderr, "metg: every rank needs a point\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }

    MPI_Barrier(MPI_COMM_WORLD);
    start = MPI_Wtime();
    for (int64_t step = 0; step < steps; step++) {
        if (step > 0)
            exchange(&points[0], &points[count - 1], &below, &above, rank, size);
        seen += below.number + above.number;
        for (int64_t p = 0; p < count; p++)
            points[p].number = compute(iterations);
    }
    seconds = MPI_Wtime() - start;
    MPI_Reduce(&seconds, &slowest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("%.9f\n", slowest);
    /* Uses what was received, so that nothing of it is left out. */
    free(seen == 12345.0 ? NULL : points);
    MPI_Finalize();
    return 0;
}
