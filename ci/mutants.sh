#!/usr/bin/env bash
# Checks the checker: plants each bug of core/tests/mutants, one at a time, in a copy of the sources,
# and runs seeds of the simulator until one finds it. Prints seed and seconds for each; fails when one
# survives 2,000 seeds. The sources themselves are only read. Names as arguments choose some.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

seeds=2000
limit=${MUTANTS_LIMIT:-2700}  # seconds in all; a machine that is busy needs more
patience=600  # seconds for one bug's seeds
copy=$target/mutants/tree
export CARGO_TARGET_DIR=$target/mutants/target
mkdir -p "$copy" "$CARGO_TARGET_DIR"

# What an earlier run left is overwritten; bugs that are no more must not stay. Cargo goes by the
# time of a file: those that a patch may have changed count as new.
rm -rf "$copy/core/tests/mutants"
tar -cf - --exclude=./target --exclude=./.git . | tar -xf - -C "$copy" || exit 1
cd "$copy" || exit 1
sed -n 's|^+++ b/||p' core/tests/mutants/*.patch | sort -u | xargs touch

build() {
    cargo test --locked --profile mutants -p rdask-core --test simulation --no-run \
        >"$target/mutants/build.log" 2>&1
}

say 'building without a bug'
build || { cat "$target/mutants/build.log"; exit 1; }
clean=$(SIM_MUTANT=1 SIM_SEEDS=300 timeout $patience \
    cargo test --locked --profile mutants -p rdask-core --test simulation seeds 2>&1) ||
    { printf '%s\n' "$clean"; say 'a seed fails without any bug'; exit 1; }

survivors=() found=0 started=$SECONDS
printf '%-52s %8s %8s %8s\n' bug seed 'build s' 'run s'
for patch in core/tests/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
    if [ $((SECONDS - started)) -gt $limit ]; then
        survivors+=("$name (not run: $limit s are over)")
        continue
    fi
    before=$SECONDS
    patch -p1 -s --no-backup-if-mismatch <"$patch" || { survivors+=("$name (does not apply)"); continue; }
    if build; then
        built=$SECONDS
        log=$(SIM_MUTANT=1 SIM_SEEDS=$seeds timeout $patience \
            cargo test --locked --profile mutants -p rdask-core --test simulation seeds 2>&1)
        code=$?
        seed=$(printf '%s\n' "$log" | grep -oE -m 1 'found by seed [0-9]+' | grep -oE '[0-9]+')
        # A machine that is too slow has not found anything.
        why=$([ "$code" = 124 ] && echo " ($patience s were not enough)")
        if [ -n "$seed" ]; then found=$((found + 1)); else survivors+=("$name$why"); fi
        printf '%-52s %8s %8d %8d\n' "$name" "${seed:-none}" $((built - before)) $((SECONDS - built))
    else
        survivors+=("$name (does not build)")
    fi
    patch -p1 -s -R --no-backup-if-mismatch <"$patch" || exit 1
done

echo "$found found, ${#survivors[@]} not, $((SECONDS - started)) s"
[ ${#survivors[@]} = 0 ] || { printf 'survived: %s\n' "${survivors[@]}"; exit 1; }
