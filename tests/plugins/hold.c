/* Tasks that hold memory until a file appears, for tests/pausing.rs. */
#include "rdask_kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

RDASK_KERNEL_MODULE

/* Holds `bytes` of memory until the file `until` is there, which it takes away if `take` is not 0.
 * The memory stays in use for ever if `keep` is not 0. The result is the number 1. */
RDASK_EXPORT int32_t hold(const rdask_call *call) {
    int64_t nbytes = 0, take = 0, keep = 0;
    const char *until = NULL;
    char path[4096];
    if (call->param_text(call, "until", &until, NULL) != RDASK_FOUND)
        return call->fail(call, "KeyError", "until");
    call->param_int(call, "bytes", &nbytes);
    call->param_int(call, "take", &take);
    call->param_int(call, "keep", &keep);
    snprintf(path, sizeof path, "%s/%s", call->working_directory, until);
    char *memory = malloc(nbytes + 1);
    if (!memory)
        return call->fail(call, "MemoryError", "malloc");
    /* Not zeros: every page is really there. */
    memset(memory, 1, nbytes + 1);
    while (access(path, F_OK) != 0)
        usleep(1000);
    if (take)
        unlink(path);
    double last = memory[nbytes];
    if (!keep)
        free(memory);
    double *out = call->output(call, RDASK_F64, 0, NULL);
    if (!out)
        return 1;
    *out = last;
    return 0;
}
