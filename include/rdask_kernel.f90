! rdask_kernel.h for Fortran. Compile it into the plugin, once: it exports the version.
!
! The types are those of the header, and what it says of them holds. A kernel is a function of
! one rdask_call with bind(C); fail, output and the getters of parameters are wrapped so that they
! take Fortran's strings. examples/plugin/fortran shows a whole plugin.
module rdask_kernel
    use, intrinsic :: iso_c_binding
    implicit none
    private

    integer(c_int32_t), parameter, public :: RDASK_BYTES = -1
    integer(c_int32_t), parameter, public :: RDASK_BOOL = 0, RDASK_I8 = 1, RDASK_I16 = 2
    integer(c_int32_t), parameter, public :: RDASK_I32 = 3, RDASK_I64 = 4, RDASK_U8 = 5
    integer(c_int32_t), parameter, public :: RDASK_U16 = 6, RDASK_U32 = 7, RDASK_U64 = 8
    integer(c_int32_t), parameter, public :: RDASK_F32 = 9, RDASK_F64 = 10, RDASK_C64 = 11
    integer(c_int32_t), parameter, public :: RDASK_C128 = 12
    integer(c_int32_t), parameter, public :: RDASK_FOUND = 0, RDASK_ABSENT = 1, RDASK_WRONG = 2

    integer(c_int32_t), bind(C, name="rdask_kernel_abi"), public :: rdask_kernel_abi = 1

    ! An input. The last axis of `shape` is the one whose elements lie side by side, which in
    ! Fortran is the first: an array of shape (3, 4) is x(4, 3) here.
    type, bind(C), public :: rdask_array
        integer(c_int32_t) :: dtype
        integer(c_int32_t) :: ndim
        type(c_ptr) :: shape
        type(c_ptr) :: data
        integer(c_int64_t) :: nbytes
    end type

    type, bind(C), public :: rdask_call
        integer(c_int32_t) :: abi
        integer(c_int32_t) :: threads
        integer(c_int32_t) :: attempt
        integer(c_int32_t) :: rank
        integer(c_int64_t) :: ninputs
        type(c_ptr) :: inputs
        type(c_ptr) :: params
        type(c_ptr) :: working_directory
        type(c_ptr) :: host
        type(c_funptr) :: output
        type(c_funptr) :: fail
        type(c_funptr) :: param_int
        type(c_funptr) :: param_float
        type(c_funptr) :: param_text
        type(c_funptr) :: param_floats
    end type

    abstract interface
        function output_function(call, dtype, ndim, shape) bind(C) result(memory)
            import :: rdask_call, c_ptr, c_int32_t, c_int64_t
            type(rdask_call), intent(in) :: call
            integer(c_int32_t), value :: dtype, ndim
            integer(c_int64_t), intent(in) :: shape(*)
            type(c_ptr) :: memory
        end function
        function fail_function(call, kind, message) bind(C) result(code)
            import :: rdask_call, c_char, c_int32_t
            type(rdask_call), intent(in) :: call
            character(kind=c_char), intent(in) :: kind(*), message(*)
            integer(c_int32_t) :: code
        end function
        function int_function(call, name, value) bind(C) result(code)
            import :: rdask_call, c_char, c_int32_t, c_int64_t
            type(rdask_call), intent(in) :: call
            character(kind=c_char), intent(in) :: name(*)
            integer(c_int64_t), intent(inout) :: value
            integer(c_int32_t) :: code
        end function
        function float_function(call, name, value) bind(C) result(code)
            import :: rdask_call, c_char, c_int32_t, c_double
            type(rdask_call), intent(in) :: call
            character(kind=c_char), intent(in) :: name(*)
            real(c_double), intent(inout) :: value
            integer(c_int32_t) :: code
        end function
        function pointer_function(call, name, start, count) bind(C) result(code)
            import :: rdask_call, c_char, c_int32_t, c_int64_t, c_ptr
            type(rdask_call), intent(in) :: call
            character(kind=c_char), intent(in) :: name(*)
            type(c_ptr), intent(inout) :: start
            integer(c_int64_t), intent(inout) :: count
            integer(c_int32_t) :: code
        end function
    end interface

    public :: rdask_inputs, rdask_shape, rdask_output, rdask_fail
    public :: rdask_param_int, rdask_param_float, rdask_param_floats, rdask_param_text

contains

    ! All inputs.
    function rdask_inputs(call) result(inputs)
        type(rdask_call), intent(in) :: call
        type(rdask_array), pointer :: inputs(:)
        call c_f_pointer(call%inputs, inputs, [call%ninputs])
    end function

    ! The lengths of an input's axes, in the order of the graph.
    function rdask_shape(array) result(shape)
        type(rdask_array), intent(in) :: array
        integer(c_int64_t), pointer :: shape(:)
        call c_f_pointer(array%shape, shape, [array%ndim])
    end function

    ! Memory for the result; not associated where there is none: return then.
    function rdask_output(call, dtype, shape) result(memory)
        type(rdask_call), intent(in) :: call
        integer(c_int32_t), intent(in) :: dtype
        integer(c_int64_t), intent(in) :: shape(:)
        type(c_ptr) :: memory
        procedure(output_function), pointer :: output
        call c_f_procpointer(call%output, output)
        memory = output(call, dtype, int(size(shape), c_int32_t), shape)
    end function

    ! Fails the task; returns 1, for the kernel to return.
    function rdask_fail(call, kind, message) result(code)
        type(rdask_call), intent(in) :: call
        character(len=*), intent(in) :: kind, message
        integer(c_int32_t) :: code
        procedure(fail_function), pointer :: fail
        call c_f_procpointer(call%fail, fail)
        code = fail(call, trim(kind)//c_null_char, trim(message)//c_null_char)
    end function

    ! RDASK_FOUND, and the value; else it is left as it was.
    function rdask_param_int(call, name, value) result(code)
        type(rdask_call), intent(in) :: call
        character(len=*), intent(in) :: name
        integer(c_int64_t), intent(inout) :: value
        integer(c_int32_t) :: code
        procedure(int_function), pointer :: get
        call c_f_procpointer(call%param_int, get)
        code = get(call, trim(name)//c_null_char, value)
    end function

    function rdask_param_float(call, name, value) result(code)
        type(rdask_call), intent(in) :: call
        character(len=*), intent(in) :: name
        real(c_double), intent(inout) :: value
        integer(c_int32_t) :: code
        procedure(float_function), pointer :: get
        call c_f_procpointer(call%param_float, get)
        code = get(call, trim(name)//c_null_char, value)
    end function

    function rdask_param_floats(call, name, values) result(code)
        type(rdask_call), intent(in) :: call
        character(len=*), intent(in) :: name
        real(c_double), pointer, intent(inout) :: values(:)
        integer(c_int32_t) :: code
        procedure(pointer_function), pointer :: get
        type(c_ptr) :: start
        integer(c_int64_t) :: count
        call c_f_procpointer(call%param_floats, get)
        code = get(call, trim(name)//c_null_char, start, count)
        if (code == RDASK_FOUND) call c_f_pointer(start, values, [count])
    end function

    function rdask_param_text(call, name, text) result(code)
        type(rdask_call), intent(in) :: call
        character(len=*), intent(in) :: name
        character(kind=c_char), pointer, intent(inout) :: text(:)
        integer(c_int32_t) :: code
        procedure(pointer_function), pointer :: get
        type(c_ptr) :: start
        integer(c_int64_t) :: count
        call c_f_procpointer(call%param_text, get)
        code = get(call, trim(name)//c_null_char, start, count)
        if (code == RDASK_FOUND) call c_f_pointer(start, text, [count])
    end function
end module
