/* Functions that look at every part of include/rdask_kernel.h, for tests/plugins.rs. */
#include "rdask_kernel.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

RDASK_KERNEL_MODULE

/* What a call holds, as text. */
RDASK_EXPORT int32_t describe(const rdask_call *call) {
    char text[8192];
    int at = snprintf(text, sizeof text, "abi %u threads %u attempt %u rank %d params %s\n", call->abi,
                      call->threads, call->attempt, call->rank, call->params);
    for (int64_t i = 0; i < call->ninputs; i++) {
        const rdask_array *in = &call->inputs[i];
        at += snprintf(text + at, sizeof text - at, "%d (", in->dtype);
        for (int32_t axis = 0; axis < in->ndim; axis++)
            at += snprintf(text + at, sizeof text - at, "%lld,", (long long)in->shape[axis]);
        at += snprintf(text + at, sizeof text - at, ") %lld %s\n", (long long)in->nbytes,
                       in->data && (uintptr_t)in->data % 64 == 0 ? "aligned" : "NOT ALIGNED");
    }
    int64_t nbytes = at;
    char *out = call->output(call, RDASK_BYTES, 1, &nbytes);
    if (!out)
        return 1;
    memcpy(out, text, nbytes);
    return 0;
}

/* The first input again, made as a result of its own. */
RDASK_EXPORT int32_t copy(const rdask_call *call) {
    const rdask_array *in = call->inputs;
    void *out = call->output(call, in->dtype, in->ndim, in->shape);
    if (!out)
        return 1;
    if ((uintptr_t)out % 64 != 0)
        return call->fail(call, NULL, "the result is not aligned");
    memcpy(out, in->data, in->nbytes);
    return 0;
}

/* The sum of all inputs' first elements, f64, as a 0-d array; each parameter once. */
RDASK_EXPORT int32_t parameters(const rdask_call *call) {
    int64_t n = 10, nbytes = -1, count = -1, absent = 77;
    double x = 0;
    const char *text = "";
    const double *list = NULL;
    if (call->param_int(call, "n", &n) == RDASK_WRONG)
        return 1;
    if (call->param_float(call, "x", &x) != RDASK_FOUND)
        return call->fail(call, "KeyError", "x");
    if (call->param_text(call, "text", &text, &nbytes) != RDASK_FOUND)
        return call->fail(call, "KeyError", "text");
    if (call->param_floats(call, "list", &list, &count) != RDASK_FOUND)
        return call->fail(call, "KeyError", "list");
    if (call->param_int(call, "none", &absent) != RDASK_ABSENT || absent != 77)
        return call->fail(call, "KeyError", "none");
    double *out = call->output(call, RDASK_F64, 0, NULL);
    if (!out)
        return 1;
    *out = (double)n + x + (double)nbytes + (double)strlen(text);
    for (int64_t i = 0; i < count; i++)
        *out += list[i];
    return 0;
}

RDASK_EXPORT int32_t fails(const rdask_call *call) {
    const char *kind = NULL, *message = NULL;
    call->param_text(call, "kind", &kind, NULL);
    call->param_text(call, "message", &message, NULL);
    return call->fail(call, kind, message);
}

RDASK_EXPORT int32_t returns(const rdask_call *call) {
    int64_t code = 0;
    call->param_int(call, "code", &code);
    return (int32_t)code;
}

/* Asks for what it may not have, and hides it. */
RDASK_EXPORT int32_t asks(const rdask_call *call) {
    int64_t dtype = RDASK_F64, axes = 1, length = 1, times = 1, shape[64];
    call->param_int(call, "dtype", &dtype);
    call->param_int(call, "axes", &axes);
    call->param_int(call, "length", &length);
    call->param_int(call, "times", &times);
    for (int axis = 0; axis < 64; axis++)
        shape[axis] = length;
    while (times-- > 0)
        call->output(call, (int32_t)dtype, (int32_t)axes, shape);
    return 0;
}

/* 200 in each byte of a bool array. */
RDASK_EXPORT int32_t wild_bool(const rdask_call *call) {
    int64_t length = 3;
    unsigned char *out = call->output(call, RDASK_BOOL, 1, &length);
    if (!out)
        return 1;
    out[0] = 200, out[1] = 0, out[2] = 1;
    return 0;
}

/* Returns only when two threads are in it at once. */
RDASK_EXPORT int32_t meet(const rdask_call *call) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
    static int inside;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    int late = 0;
    pthread_mutex_lock(&lock);
    inside++;
    pthread_cond_broadcast(&arrived);
    while (inside < 2 && !late)
        late = pthread_cond_timedwait(&arrived, &lock, &until);
    pthread_mutex_unlock(&lock);
    if (late)
        return call->fail(call, "TimeoutError", "nobody came");
    int32_t *out = call->output(call, RDASK_I32, 0, NULL);
    if (!out)
        return 1;
    *out = inside;
    return 0;
}

RDASK_EXPORT int32_t crash(const rdask_call *call) {
    volatile int *nothing = (int *)((uintptr_t)call->attempt * 0);
    return *nothing;
}
