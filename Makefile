# make maelstrom   build and run the main job
# make test        every check and every test
# make bench       measure
# make help        what else there is

WORKLOAD    ?= g-counter
CONSISTENCY ?= regular
NODES       ?= 3
RATE        ?= 100
TIME        ?= 10
CONCURRENCY ?= 2n
LATENCY     ?= 10
NEMESIS     ?= partition
NEMESIS_INTERVAL ?= 5
MAELSTROM   ?= $(shell command -v maelstrom 2>/dev/null)

# Only counters take a consistency level.
NODE_FLAGS = $(if $(filter g-counter pn-counter,$(WORKLOAD)),-- --consistency $(CONSISTENCY))
TEST_FLAGS = -w $(WORKLOAD) --bin target/release/$(WORKLOAD) --node-count $(NODES) --rate $(RATE) \
	--time-limit $(TIME) --concurrency $(CONCURRENCY) --latency $(LATENCY) \
	$(if $(NEMESIS),--nemesis $(NEMESIS) --nemesis-interval $(NEMESIS_INTERVAL)) $(NODE_FLAGS)

.PHONY: maelstrom test lint doc bench small help

maelstrom:
ifeq ($(MAELSTROM),)
	cargo build --release --features workbench --bin $(WORKLOAD) --bin eddy
	@echo 'Running on eddy; for real Maelstrom put it on the PATH or give MAELSTROM=path/to/maelstrom.'
	target/release/eddy test $(TEST_FLAGS)
else
	cargo build --release --bin $(WORKLOAD)
	@echo 'Running on $(MAELSTROM); for eddy give MAELSTROM= (nothing).'
	$(MAELSTROM) test $(TEST_FLAGS)
endif

test: lint doc
	cargo test --features workbench

lint:
	cargo fmt --check
	cargo clippy --no-default-features --lib -- -D warnings
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --features workbench -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --features workbench

bench:
	cargo bench --bench end_to_end

# A target of its own keeps the flags from the build scripts.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

small:
	RUSTFLAGS='-C force-unwind-tables=no -C link-arg=-Wl,--icf=all' \
		cargo build --profile small --target $(HOST) --bin g-counter
	@ls -l target/$(HOST)/small/g-counter

help:
	@echo 'make maelstrom   build release and run the main job: on real Maelstrom if it is on the PATH'
	@echo '                 or MAELSTROM=path/to/maelstrom is given, else on eddy'
	@echo '    WORKLOAD=$(WORKLOAD) CONSISTENCY=$(CONSISTENCY) NODES=$(NODES) RATE=$(RATE) TIME=$(TIME) CONCURRENCY=$(CONCURRENCY)'
	@echo '    LATENCY=$(LATENCY) NEMESIS=$(NEMESIS) NEMESIS_INTERVAL=$(NEMESIS_INTERVAL)   may be set'
	@echo 'make test        formatting, lints for every feature set, documentation, all tests'
	@echo 'make bench       echo against a straight loop and against cat, as ratios'
	@echo 'make small       a g-counter for where there is little room'
