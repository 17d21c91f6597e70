#!/usr/bin/env bash
# Decides what this machine can build. On stdout one line per thing: `build hwloc`,
# `build mpi NAME WRAPPER`, or `left out: WHAT: WHY (HOW TO GET IT)`. Builds nothing, needs
# neither root nor network, and always ends with 0: what is missing is left out.
set -u

have() { command -v "$1" >/dev/null 2>&1; }

# bindgen opens libclang at run time: look where it looks.
find_libclang() {
    local folder folders=(${LIBCLANG_PATH:+"$LIBCLANG_PATH"})
    if have llvm-config; then folders+=("$(llvm-config --libdir 2>/dev/null)"); fi
    folders+=(/usr/lib/llvm*/lib /usr/lib64/llvm*/lib /usr/lib64 /usr/lib /usr/lib/*-linux-gnu
        /usr/local/lib)
    for folder in "${folders[@]}"; do
        for library in "$folder"/libclang.so "$folder"/libclang.so.* "$folder"/libclang-*.so*; do
            [ -e "$library" ] && return 0
        done
    done
    return 1
}

if ! have pkg-config; then
    echo 'left out: hwloc: no pkg-config (apt-get install pkg-config libhwloc-dev);' \
        'the topology comes from /sys'
elif ! pkg-config --atleast-version=2.0.0 hwloc 2>/dev/null; then
    echo 'left out: hwloc: no hwloc 2 headers (apt-get install libhwloc-dev);' \
        'the topology comes from /sys'
else
    echo 'build hwloc'
fi

wrappers=()
for name in openmpi mpich; do
    if have "mpicc.$name"; then
        wrappers+=("$name mpicc.$name")
    elif [ $name = openmpi ]; then
        missing_openmpi='left out: Open MPI launch: no mpicc.openmpi (apt-get install libopenmpi-dev)'
    else
        missing_mpich='left out: MPICH launch: no mpicc.mpich (apt-get install libmpich-dev)'
    fi
done
# Elsewhere than on Debian the site's one wrapper is called mpicc.
if [ ${#wrappers[@]} = 0 ] && have mpicc; then
    wrappers=("site mpicc")
else
    for line in "${missing_openmpi:-}" "${missing_mpich:-}"; do
        if [ -n "$line" ]; then echo "$line"; fi
    done
fi

if [ ${#wrappers[@]} != 0 ] && ! find_libclang; then
    echo 'left out: MPI launch: no libclang (apt-get install libclang-dev)'
    wrappers=()
fi
for wrapper in "${wrappers[@]}"; do
    echo "build mpi $wrapper"
done
exit 0
