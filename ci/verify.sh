#!/usr/bin/env bash
# Reads everything, writes nothing: format, lints, documents, licences, portability of the core.
# A tool that is missing is named with the command that installs it.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

failed=()
step() { # NAME COMMAND...
    local name=$1
    shift
    say "== $name"
    "$@" || failed+=("$name")
}
features=$(cargo_features)

step format cargo fmt --all --check
# shellcheck disable=SC2086  # at most one word, and it may be none
step lints cargo clippy --release --locked --workspace --all-targets $features -- -D warnings
# shellcheck disable=SC2086
step documents env RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps $features
step 'without features' cargo check --release --locked --workspace --no-default-features
if [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ]; then
    step 'core on wasm32' cargo check --locked -p rdask-core --target wasm32-unknown-unknown
else
    say 'not run: core on wasm32, install with: rustup target add wasm32-unknown-unknown'
fi
if have cargo-deny; then
    step licences cargo deny check
else
    say 'not run: licences, install with: cargo install cargo-deny'
fi
for script in ci/*.sh .ci/run jobscripts/*.sh; do
    step "bash -n $script" bash -n "$script"
done
if have shellcheck; then
    step shellcheck shellcheck -x ci/*.sh .ci/run jobscripts/*.sh
else
    say 'not run: shellcheck, install with: apt-get install shellcheck'
fi
if [ ${#failed[@]} != 0 ]; then
    say "failed: ${failed[*]}"
    exit 1
fi
say 'verified'
