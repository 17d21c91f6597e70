! A weighted running mean along the first axis, as a plugin in Fortran. Parameter: weights, a list.
!
! Element i of the result is the mean of the elements around i, weighted; at the ends only the
! weights inside the array count.
module running_mean_plugin
    use, intrinsic :: iso_c_binding
    use rdask_kernel
    implicit none

contains

    function running_mean(call) bind(C, name="running_mean") result(code)
        type(rdask_call), intent(in) :: call
        integer(c_int32_t) :: code
        type(rdask_array), pointer :: inputs(:)
        integer(c_int64_t), pointer :: shape(:)
        real(c_double), pointer :: weights(:), x(:, :), out(:, :)
        integer(c_int64_t) :: i, j, k, row, rows, columns
        real(c_double) :: total, weight
        type(c_ptr) :: memory

        inputs => rdask_inputs(call)
        code = 1
        if (size(inputs) == 1) then
            if (inputs(1)%dtype == RDASK_F64 .and. inputs(1)%ndim >= 1) code = 0
        end if
        if (code /= 0) then
            code = rdask_fail(call, "TypeError", "running_mean takes one array of f64 with an axis")
            return
        end if
        weights => null()
        if (rdask_param_floats(call, "weights", weights) /= RDASK_FOUND) then
            code = rdask_fail(call, "ValueError", "running_mean needs weights")
            return
        end if
        if (size(weights) < 1) then
            code = rdask_fail(call, "ValueError", "running_mean needs weights")
            return
        end if

        shape => rdask_shape(inputs(1))
        memory = rdask_output(call, RDASK_F64, shape)
        code = 1
        if (.not. c_associated(memory)) return
        ! The axes that lie side by side come first in Fortran.
        rows = shape(1)
        columns = product(shape(2:))
        call c_f_pointer(inputs(1)%data, x, [columns, rows])
        call c_f_pointer(memory, out, [columns, rows])
        do i = 1, rows
            do j = 1, columns
                total = 0
                weight = 0
                do k = 1, size(weights)
                    row = i + k - 1 - size(weights) / 2
                    if (row < 1 .or. row > rows) cycle
                    total = total + weights(k) * x(j, row)
                    weight = weight + weights(k)
                end do
                out(j, i) = total / weight
            end do
        end do
        code = 0
    end function
end module
