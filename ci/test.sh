#!/usr/bin/env bash
# Installs, builds and runs every test. Ends with a table of what ran and what did not, and
# with the closing line. Fails where a test failed, or where something that could be installed
# did not run.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

"$root/ci/install.sh"
"$root/ci/build.sh" --shims

RDASK_TEST_PYTHON=$(python_with_numpy || true)
RDASK_TEST_RECORD=$target/ci/record.tsv
export RDASK_TEST_PYTHON RDASK_TEST_RECORD
[ -n "$RDASK_TEST_PYTHON" ] || unset RDASK_TEST_PYTHON
rm -f "$RDASK_TEST_RECORD" "$target/ci/closing"

log=$target/ci/test.log
# shellcheck disable=SC2046  # at most one word, and it may be none
cargo test --release --locked --workspace --no-fail-fast $(cargo_features) "$@" \
    </dev/null 2>&1 | tee "$log"
code=${PIPESTATUS[0]}

count() { # WORD: sums `N WORD` over cargo's result lines
    grep '^test result:' "$log" | grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'
}
recorded() { # STATE NAME: how many tests said so
    [ -f "$RDASK_TEST_RECORD" ] || { echo 0; return; }
    awk -F '\t' -v state="$1" -v name="$2" '$1 == state && $2 == name' "$RDASK_TEST_RECORD" | wc -l
}

echo
printf '%-14s %8s %8s  %s\n' 'with' 'ran' 'not run' 'why'
skipped=0
while read -r name; do
    ran=$(recorded ran "$name") not_run=$(recorded 'not run' "$name") why=
    if [ "$not_run" != 0 ]; then
        why=$(awk -F '\t' -v name="$name" '$1 == "not run" && $2 == name { print $3; exit }' \
            "$RDASK_TEST_RECORD")
    elif [ "$ran" = 0 ]; then
        why='no test asked for it'
    fi
    skipped=$((skipped + not_run))
    if grep -qx "$name" "$target/ci/installed" && { [ "$ran" = 0 ] || [ "$not_run" != 0 ]; }; then
        why="FAILED: it is installed and must run; $why"
        [ "$code" = 0 ] && code=1
    fi
    printf '%-14s %8d %8d  %s\n' "$name" "$ran" "$not_run" "$why"
done < <({ printf '%s\n' 'Open MPI' MPICH hwloc numpy gfortran
    [ -f "$RDASK_TEST_RECORD" ] && cut -f 2 "$RDASK_TEST_RECORD"; } | awk 'NF && !seen[$0]++')

passed=$(count passed) failed=$(count failed)
skipped=$((skipped + $(count ignored)))
echo
if [ "$code" != 0 ] && [ "$failed" = 0 ]; then
    echo 'failed: the tests did not build, or a test binary ended early, or something did not run'
fi
echo "$passed passed, $failed failed, $skipped skipped" | tee "$target/ci/closing"
exit "$code"
