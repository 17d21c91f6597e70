/* rdask_kernel.h: tasks of rdask-hpc in C, C++, Fortran, Rust, or whatever speaks C. Version 1.
 *
 * A plugin is a shared library. It exports the version of this header, which RDASK_KERNEL_MODULE
 * does once in one of its files, and one function for each kind of task:
 *
 *     #include "rdask_kernel.h"
 *     RDASK_KERNEL_MODULE
 *     RDASK_EXPORT int32_t twice(const rdask_call *call) {
 *         if (call->ninputs != 1 || call->inputs[0].dtype != RDASK_F64)
 *             return call->fail(call, "TypeError", "twice takes one array of f64");
 *         const rdask_array *in = &call->inputs[0];
 *         double *out = call->output(call, RDASK_F64, in->ndim, in->shape);
 *         if (!out) return 1;
 *         for (int64_t i = 0; i < in->nbytes / 8; i++)
 *             out[i] = 2 * ((const double *)in->data)[i];
 *         return 0;
 *     }
 *
 * In a graph: {"plugin": "libtwice.so", "symbol": "twice", "params": {}}.
 *
 * A function is called by many threads at once, with another `call` each. Nothing that a call
 * gives may be used after the function has returned. Inputs may be shared with other tasks: they
 * must not be written. A function that crashes takes its worker process along.
 */
#ifndef RDASK_KERNEL_H
#define RDASK_KERNEL_H

#include <stdint.h>

/* Version of this header. A plugin that was built with another one is refused. */
#define RDASK_KERNEL_ABI 1u

#ifdef __cplusplus
#define RDASK_EXTERN extern "C"
#else
#define RDASK_EXTERN extern
#endif
#define RDASK_VISIBLE __attribute__((visibility("default")))

/* Before each function that tasks name. */
#ifdef __cplusplus
#define RDASK_EXPORT extern "C" RDASK_VISIBLE
#else
#define RDASK_EXPORT RDASK_VISIBLE
#endif

/* Once in one file of the plugin: says which version it was built with. */
#define RDASK_KERNEL_MODULE                                        \
    RDASK_EXTERN RDASK_VISIBLE const uint32_t rdask_kernel_abi;    \
    const uint32_t rdask_kernel_abi = RDASK_KERNEL_ABI;

/* Element types; numpy's names behind them. A bool is one byte, 0 or 1. */
enum {
    RDASK_BYTES = -1, /* no array: a run of bytes, one axis */
    RDASK_BOOL = 0,   /* bool */
    RDASK_I8 = 1,     /* int8 */
    RDASK_I16 = 2,    /* int16 */
    RDASK_I32 = 3,    /* int32 */
    RDASK_I64 = 4,    /* int64 */
    RDASK_U8 = 5,     /* uint8 */
    RDASK_U16 = 6,    /* uint16 */
    RDASK_U32 = 7,    /* uint32 */
    RDASK_U64 = 8,    /* uint64 */
    RDASK_F32 = 9,    /* float32 */
    RDASK_F64 = 10,   /* float64 */
    RDASK_C64 = 11,   /* complex64 */
    RDASK_C128 = 12,  /* complex128 */
    RDASK_F16 = 13,   /* float16 */
    /* Dates and durations: int64 that count units, INT64_MIN is not a time. The dtype is one of
       these plus the unit: 0 to 12 for Y M W D h m s ms us ns ps fs as. */
    RDASK_DATETIME = 32, /* datetime64 */
    RDASK_TIMEDELTA = 64 /* timedelta64 */
};

/* What the getters of parameters return. */
enum {
    RDASK_FOUND = 0,  /* the value was written */
    RDASK_ABSENT = 1, /* there is no such parameter, or it is null; nothing was written */
    RDASK_WRONG = 2   /* it has another type: the task fails with a text that says so */
};

/* An input: elements in C order, native byte order. */
typedef struct rdask_array {
    int32_t dtype;        /* RDASK_F64, … */
    int32_t ndim;         /* number of axes, 0 to 64; 0 is one element */
    const int64_t *shape; /* `ndim` lengths; never NULL */
    const void *data;     /* aligned to 64 bytes; never NULL, even where there are no elements */
    int64_t nbytes;       /* bytes of all elements */
} rdask_array;

/* One run of a task. */
typedef struct rdask_call rdask_call;
struct rdask_call {
    uint32_t abi;                  /* RDASK_KERNEL_ABI */
    uint32_t threads;              /* slots of the task: threads that it may use, 1 or more */
    uint32_t attempt;              /* runs of this task before that failed or died */
    int32_t rank;                  /* rank of the worker */
    int64_t ninputs;               /* number of inputs */
    const rdask_array *inputs;     /* inputs in the order of `deps`; never NULL */
    const char *params;            /* `params` as a JSON object, UTF-8, ends with a zero byte */
    const char *working_directory; /* where relative paths lead; ends with a zero byte */
    void *host;                    /* not yours */

    /* Makes the result: memory for an array of this type and shape, C order, aligned to 64 bytes,
     * in the store, with whatever is in it. Call it once. It may wait for memory. NULL: there is
     * none, or the shape is impossible; return then, the task fails with the reason. */
    void *(*output)(const rdask_call *call, int32_t dtype, int32_t ndim, const int64_t *shape);

    /* Fails the task; returns 1, so that `return call->fail(…)` does it. `kind` is a word such as
     * "ValueError", or NULL; `message` is UTF-8. The first call counts. */
    int32_t (*fail)(const rdask_call *call, const char *kind, const char *message);

    /* Parameters by name. What pointers point to is gone when the function returns. */
    int32_t (*param_int)(const rdask_call *call, const char *name, int64_t *value);
    int32_t (*param_float)(const rdask_call *call, const char *name, double *value);
    int32_t (*param_text)(const rdask_call *call, const char *name, const char **text,
                          int64_t *nbytes);
    int32_t (*param_floats)(const rdask_call *call, const char *name, const double **values,
                            int64_t *count);
};

/* What a task names: returns 0 when the result is made; any other number fails the task. */
typedef int32_t rdask_kernel(const rdask_call *call);

#endif
