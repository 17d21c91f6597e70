# The one task runner. The work is done by the scripts in ci/, which read well one by one.
#
#   make demo     the main job on real input, from nothing      make test   every test
#   make build    the binary and the MPI shims                  make bench  ratios to anchors
#   make compare  the same graphs in Dask, METG beside MPI  make sim    seeds of the simulator
#   make mutants  planted bugs, each found by a seed
#   make verify   format, lints, licences (reads only)          make fix    format, lints (writes)

TARGET := $(or $(CARGO_TARGET_DIR),target)
export RDASK_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

.PHONY: build demo test verify fix sim mutants bench compare mpi docs clean clean-demo

build:
	@ci/build.sh

demo:
	@ci/demo.sh

test:
	@ci/test.sh

verify:
	@ci/verify.sh

# Writes: format and the lints that the compiler can mend.
fix:
	cargo clippy --fix --allow-dirty --allow-staged --workspace --all-targets
	cargo fmt --all

# Seeds of the simulator, SEEDS of them from FIRST on; a failing one prints how to run it again.
SEEDS ?= 10000
FIRST ?= 0
sim:
	SIM_SEEDS=$(SEEDS) SIM_FIRST=$(FIRST) \
		cargo test --release -p rdask-core --test simulation -- --nocapture

# Plants each bug of core/tests/mutants in a copy and runs seeds until one finds it: minutes each.
# Names in MUTANTS choose some.
mutants:
	@ci/mutants.sh $(MUTANTS)

# One table: what, ours, anchor, ratio, goal.
bench: build
	cargo bench --bench '*'

# Graphs of two studies beside Dask, and the smallest task that pays beside MPI. Takes minutes.
# RDASK_BENCH_PYTHON names a python with dask and distributed.
compare: build
	cargo bench --bench compare -- run

# The MPI shims alone, one for each MPI that has a compiler wrapper here.
mpi:
	@ci/build.sh --shims

docs:
	cargo doc --workspace --no-deps

clean:
	cargo clean

clean-demo:
	rm -rf $(TARGET)/demo
