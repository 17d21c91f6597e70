/* The anchor of benches/startup.rs: what any MPI program of this size pays to start and to end.
 * The same calls as the bootstrap: init, an allgather, a broadcast, finalize. */
#include <mpi.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int provided, size, word = 1, message = 0;
    int *words;

    if (MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return 1;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    words = malloc((size_t)size * sizeof *words);
    if (words == NULL)
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Allgather(&word, 1, MPI_INT, words, 1, MPI_INT, MPI_COMM_WORLD);
    message = words[size - 1];
    MPI_Bcast(&message, 1, MPI_INT, 0, MPI_COMM_WORLD);
    free(words);
    MPI_Finalize();
    return message == 1 ? 0 : 1;
}
