/* The compute-bound kernel as a task: parameter `iterations`, any inputs, a result of 16 bytes. */
#include "rdask_kernel.h"
#include "compute.h"

RDASK_KERNEL_MODULE

RDASK_EXPORT int32_t compute_bound(const rdask_call *call)
{
    int64_t iterations, length = 2;
    double *out;

    if (call->param_int(call, "iterations", &iterations) != RDASK_FOUND)
        return call->fail(call, "TypeError", "compute_bound needs iterations");
    out = call->output(call, RDASK_F64, 1, &length);
    if (!out)
        return 1;
    out[0] = compute(iterations);
    out[1] = 0.0;
    return 0;
}
