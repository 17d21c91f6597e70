#!/usr/bin/env bash
# Gets what is missing: system packages where we are root and there is apt-get, and numpy 2 in
# a virtual environment under the target folder. What cannot be had is said and left out; the
# exit code is 0. What could be had is written to $CARGO_TARGET_DIR/ci/installed, one word a
# line, so that `make test` can insist on it.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

installed=$target/ci/installed
: >"$installed"

packages=(openmpi-bin libopenmpi-dev mpich libmpich-dev libhwloc-dev pkg-config libclang-dev
    python3-venv gfortran)

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' \
            || printf '%s\n' "$package"
    done
}

install_packages() {
    local missing
    if ! have dpkg-query || ! have apt-get; then
        say "not installed: this system has no apt-get; what is missing is left out"
        return 1
    fi
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} = 0 ] && return 0
    if [ "$(id -u)" != 0 ]; then
        say "not installed (not root): sudo apt-get install ${missing[*]}"
        return 1
    fi
    say "installing: ${missing[*]}"
    local log=$target/ci/apt.log
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update -q && apt-get install -qy --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        say "not installed (see $log): ${missing[*]}"
        return 1
    fi
}

install_numpy() {
    if python_with_numpy >/dev/null; then return 0; fi
    local log=$target/ci/numpy.log
    say "installing: numpy 2 in $target/python"
    if ! { python3 -m venv --clear "$target/python" \
        && "$target/python/bin/python3" -m pip install --quiet --disable-pip-version-check \
            'numpy>=2'; } >"$log" 2>&1 </dev/null; then
        say "not installed (see $log): numpy 2"
        rm -rf "$target/python"
        return 1
    fi
}

if install_packages; then
    printf '%s\n' 'Open MPI' MPICH hwloc gfortran >>"$installed"
fi
if install_numpy; then
    printf '%s\n' 'numpy' >>"$installed"
fi
exit 0
