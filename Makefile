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

.PHONY: maelstrom test lint doc soak bench help

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

# Campaigns of simulated counters under every fault, the store's messages included. Each ends with exit code 0.
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

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --features workbench

bench:
	cargo bench --features workbench

help:
	@echo 'make maelstrom   build release and run the main job: on real Maelstrom if it is on the PATH'
	@echo '                 or MAELSTROM=path/to/maelstrom is given, else on eddy'
	@echo '    WORKLOAD=$(WORKLOAD) CONSISTENCY=$(CONSISTENCY) NODES=$(NODES) RATE=$(RATE) TIME=$(TIME) CONCURRENCY=$(CONCURRENCY)'
	@echo '    LATENCY=$(LATENCY) NEMESIS=$(NEMESIS) NEMESIS_INTERVAL=$(NEMESIS_INTERVAL)   may be set'
	@echo 'make test        formatting, lints for every feature set, documentation, all tests'
	@echo 'make soak        thousands of simulated runs under every fault (SOAK_SEEDS=$(SOAK_SEEDS))'
	@echo 'make bench       measurements'
