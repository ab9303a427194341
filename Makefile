# make maelstrom   build and run the main job
# make test        every check and every test
# make help        what else there is

WORKLOAD ?= g-counter

# Each challenge's own parameters, as Fly.io's pages give them where they do; any of them may be set on the command line.
NODES_echo = 1
NODES_broadcast = 25
NODES_kafka = 2
NODES_txn-rw-register = 2
RATE_unique-ids = 1000
RATE_kafka = 1000
RATE_txn-rw-register = 1000
LATENCY_broadcast = 100
LATENCY_unique-ids = 0
LATENCY_echo = 0
NEMESIS_echo =
NEMESIS_broadcast =
NEMESIS_kafka =
MORE_unique-ids = --availability total
MORE_txn-rw-register = --consistency-models read-committed --availability total

# The value for this workload if there is one, else the other.
for_workload = $(if $(filter undefined,$(origin $(1)_$(WORKLOAD))),$(2),$($(1)_$(WORKLOAD)))

CONSISTENCY      ?= regular
NODES            ?= $(call for_workload,NODES,3)
RATE             ?= $(call for_workload,RATE,100)
TIME             ?= 10
CONCURRENCY      ?= 2n
LATENCY          ?= $(call for_workload,LATENCY,10)
NEMESIS          ?= $(call for_workload,NEMESIS,partition)
NEMESIS_INTERVAL ?= 5
MAELSTROM        ?= $(shell command -v maelstrom 2>/dev/null)

# Only counters take a consistency level.
NODE_FLAGS = $(if $(filter g-counter pn-counter,$(WORKLOAD)),-- --consistency $(CONSISTENCY))
TEST_FLAGS = -w $(WORKLOAD) --bin target/release/$(WORKLOAD) --node-count $(NODES) --rate $(RATE) \
	--time-limit $(TIME) --concurrency $(CONCURRENCY) --latency $(LATENCY) \
	$(if $(NEMESIS),--nemesis $(NEMESIS) --nemesis-interval $(NEMESIS_INTERVAL)) $(MORE_$(WORKLOAD)) $(NODE_FLAGS)

.PHONY: maelstrom test lint doc soak fuzz deny bench growth small help

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

# Campaigns of simulated counters under every fault, the store's messages included, then ten million messages through
# one counter. Each ends with exit code 0.
SOAK_SEEDS ?= 2000
SOAK = target/release/eddy sim -w g-counter --node-count 3 --concurrency 10n --rate 100 --time-limit 20 --latency 2 \
	--latency-dist exponential --nemesis partition,kill,loss,duplicate,ghost --nemesis-interval 1 --nemesis-services \
	--seeds $(SOAK_SEEDS)
soak:
	cargo build --release --features workbench --bin eddy
	$(SOAK) --seq-kv maelstrom -- --consistency regular
	$(SOAK) --seq-kv strict -- --consistency regular
	$(SOAK) --seq-kv maelstrom -- --consistency linearizable
	$(SOAK) --seq-kv strict -- --consistency linearizable
	$(SOAK) -- --consistency linearizable --kv lin-kv
	$(SOAK) --rate 20 --seq-kv lazy -- --consistency linearizable
	cargo test --release --test soak -- --ignored --nocapture

# Needs cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler.
FUZZ_SECONDS ?= 60
fuzz:
	for target in lines counter; do RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz $$target -- \
	  -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -dict=tests/fuzz/protocol.dict || exit 1; done

# Needs cargo-deny (cargo install cargo-deny).
deny:
	cargo deny --config .ci/deny.toml check bans licenses sources

bench:
	cargo bench --bench end_to_end

# In virtual time: the same table on every machine.
growth:
	cargo bench --features workbench --bench growth

# A target of its own keeps the flags from the build scripts.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

small:
	RUSTFLAGS='-C force-unwind-tables=no -C link-arg=-Wl,--icf=all' \
		cargo build --profile small --target $(HOST) --bin g-counter
	@ls -l target/$(HOST)/small/g-counter

help:
	@echo 'make maelstrom   build release and run the main job: on real Maelstrom if it is on the PATH'
	@echo '                 or MAELSTROM=path/to/maelstrom is given, else on eddy; these may be set:'
	@echo '    WORKLOAD=$(WORKLOAD) CONSISTENCY=$(CONSISTENCY) NODES=$(NODES) RATE=$(RATE) TIME=$(TIME) CONCURRENCY=$(CONCURRENCY)'
	@echo '    LATENCY=$(LATENCY) NEMESIS=$(NEMESIS) NEMESIS_INTERVAL=$(NEMESIS_INTERVAL)'
	@echo 'make test        formatting, lints for every feature set, documentation, all tests'
	@echo 'make soak        thousands of simulated runs under every fault (SOAK_SEEDS=$(SOAK_SEEDS))'
	@echo 'make fuzz        coverage-guided fuzzing (FUZZ_SECONDS=$(FUZZ_SECONDS) a target)'
	@echo 'make deny        licences and duplicates of dependencies'
	@echo 'make bench       echo against a straight loop and against cat, as ratios'
	@echo 'make growth      what a counter costs as nodes, clients and latency grow, as a table'
	@echo 'make small       a g-counter for where there is little room'
