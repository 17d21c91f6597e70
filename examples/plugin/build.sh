#!/usr/bin/env bash
# Builds the example in the languages that are named (c fortran rust; without names all three)
# into the working directory. -ffp-contract=off: the same bits on every kind of CPU.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
include=$here/../../include

[ $# != 0 ] || set -- c fortran rust
for language in "$@"; do
    library=librunning_mean_$language.so
    case $language in
        c)
            ${CC:-cc} -O2 -ffp-contract=off -fPIC -shared -fvisibility=hidden -I"$include" \
                "$here/c/running_mean.c" -o "$library" ;;
        fortran)
            # -J: where the description of the module goes.
            ${FC:-gfortran} -O2 -ffp-contract=off -fPIC -shared -J. \
                "$include/rdask_kernel.f90" "$here/fortran/running_mean.f90" -o "$library" ;;
        rust)
            ${RUSTC:-rustc} --edition 2024 -O --crate-type cdylib --crate-name running_mean \
                -A non_upper_case_globals "$here/rust/running_mean.rs" -o "$library" ;;
        *)
            echo "error: there is no example in $language" >&2
            exit 2 ;;
    esac
    echo "built: $library"
done
