/* A weighted running mean along the first axis, as a plugin in C. Parameter: weights, a list.
 *
 * Element i of the result is the mean of the elements around i, weighted; at the ends only the
 * weights inside the array count.
 */
#include "rdask_kernel.h"

RDASK_KERNEL_MODULE

RDASK_EXPORT int32_t running_mean(const rdask_call *call) {
    const rdask_array *in = call->inputs;
    if (call->ninputs != 1 || in->dtype != RDASK_F64 || in->ndim < 1)
        return call->fail(call, "TypeError", "running_mean takes one array of f64 with an axis");
    const double *weights;
    int64_t count;
    if (call->param_floats(call, "weights", &weights, &count) != RDASK_FOUND || count < 1)
        return call->fail(call, "ValueError", "running_mean needs weights");

    double *out = call->output(call, RDASK_F64, in->ndim, in->shape);
    if (!out)
        return 1;
    const double *x = in->data;
    int64_t rows = in->shape[0], columns = 1;
    for (int32_t axis = 1; axis < in->ndim; axis++)
        columns *= in->shape[axis];
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            double sum = 0, weight = 0;
            for (int64_t k = 0; k < count; k++) {
                int64_t row = i + k - count / 2;
                if (row < 0 || row >= rows)
                    continue;
                sum += weights[k] * x[row * columns + j];
                weight += weights[k];
            }
            out[i * columns + j] = sum / weight;
        }
    }
    return 0;
}
