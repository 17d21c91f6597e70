#!/usr/bin/env bash
# Builds the binary and the MPI shims into $CARGO_TARGET_DIR/release, as far as this machine
# can. Fails only where the binary itself does not build. `--shims` builds the shims alone.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

plan=$("$root/ci/features.sh")
grep '^left out' <<<"$plan" >&2

if [ "${1:-}" != --shims ]; then
    # shellcheck disable=SC2046  # at most one word, and it may be none
    cargo build --release --locked $(cargo_features) || exit 1
fi
mkdir -p "$target/release"

# Each MPI has its own target folder, since mpi-sys does not notice a changed MPICC.
build_shim() {
    local name=$1 wrapper=$2 file=librdask_mpi_$1.so needed
    case $name in
        openmpi) needed='libmpi\.so' ;;
        mpich) needed='libmpich\.so|libmpi\.so' ;;
        site) needed='libmpi|libmpich' file=librdask_mpi.so ;;
    esac
    local locked=()
    [ -f launcher/mpi-shim/Cargo.lock ] && locked=(--locked)
    local log=$target/ci/mpi-$name.log built=$target/mpi-$name/release/librdask_mpi.so
    if ! env -u CRAY_MPICH_DIR -u MPI_PKG_CONFIG MPICC="$wrapper" \
        cargo build --release "${locked[@]}" --target-dir "$target/mpi-$name" \
        --manifest-path launcher/mpi-shim/Cargo.toml >"$log" 2>&1; then
        say "left out: MPI launch with $wrapper: its shim does not build (see $log)"
        return 1
    fi
    if have readelf && ! readelf -d "$built" | grep -E "NEEDED.*($needed)" >/dev/null; then
        say "left out: MPI launch with $wrapper: its shim is not linked to that MPI (see $log)"
        return 1
    fi
    # By rename, so that a running job never opens half a file.
    cp "$built" "$target/release/.$file.new" && mv "$target/release/.$file.new" "$target/release/$file"
}

while read -r _ _ name wrapper; do
    build_shim "$name" "$wrapper"
done < <(grep '^build mpi ' <<<"$plan")
if [ "${1:-}" != --shims ]; then
    say "built: $target/release/rdask-hpc$(cd "$target/release" && printf ', %s' librdask_mpi*.so \
        | sed 's/, librdask_mpi\*\.so//')"
fi
exit 0
