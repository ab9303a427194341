# make maelstrom   build and run the main job
# make test        every check and every test
# make help        what else there is

WORKLOAD ?= g-counter
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

# Each challenge's own parameters, as Fly.io's pages give them, and Maelstrom's defaults where they don't; any of them may
# be set on the command line.
# The main job is short: a newcomer waits for it. Its store is never cut off, so there is little to recover from.
TIME_g-counter = 4
NEMESIS_INTERVAL_g-counter = 2
RECOVERY_g-counter = 1

NODES_echo = 1
RATE_echo = 5
TIME_echo = 10
CONCURRENCY_echo = 1n
LATENCY_echo = 0
NEMESIS_echo =

RATE_unique-ids = 1000
TIME_unique-ids = 30
CONCURRENCY_unique-ids = 1n
LATENCY_unique-ids = 0
NEMESIS_INTERVAL_unique-ids = 10
MORE_unique-ids = --availability total

NODES_broadcast = 25
TIME_broadcast = 20
CONCURRENCY_broadcast = 1n
LATENCY_broadcast = 100
NEMESIS_broadcast =

NODES_kafka = 2
RATE_kafka = 1000
TIME_kafka = 20
LATENCY_kafka = 0
NEMESIS_kafka =

NODES_txn-rw-register = 2
RATE_txn-rw-register = 1000
TIME_txn-rw-register = 20
LATENCY_txn-rw-register = 0
NEMESIS_INTERVAL_txn-rw-register = 10
MORE_txn-rw-register = --consistency-models read-committed --availability total

# The value for this workload if there is one, else the other.
for_workload = $(if $(filter undefined,$(origin $(1)_$(WORKLOAD))),$(2),$($(1)_$(WORKLOAD)))

CONSISTENCY      ?= regular
NODES            ?= $(call for_workload,NODES,3)
RATE             ?= $(call for_workload,RATE,100)
TIME             ?= $(call for_workload,TIME,10)
CONCURRENCY      ?= $(call for_workload,CONCURRENCY,2n)
LATENCY          ?= $(call for_workload,LATENCY,10)
NEMESIS          ?= $(call for_workload,NEMESIS,partition)
NEMESIS_INTERVAL ?= $(call for_workload,NEMESIS_INTERVAL,5)
RECOVERY         ?= $(call for_workload,RECOVERY,3)
MAELSTROM        ?= $(shell command -v maelstrom 2>/dev/null)

# Only counters take a consistency level.
NODE_FLAGS = $(if $(filter g-counter pn-counter,$(WORKLOAD)),-- --consistency $(CONSISTENCY))
TEST_FLAGS = -w $(WORKLOAD) --bin target/release/$(WORKLOAD) --node-count $(NODES) --rate $(RATE) \
	--time-limit $(TIME) --concurrency $(CONCURRENCY) --latency $(LATENCY) \
	$(if $(NEMESIS),--nemesis $(NEMESIS) --nemesis-interval $(NEMESIS_INTERVAL)) $(MORE_$(WORKLOAD)) $(NODE_FLAGS)

.PHONY: maelstrom node-release eddy-quick test lint doc no-std work soak fuzz deny bench growth small help

maelstrom:
ifeq ($(MAELSTROM),)
	@$(MAKE) --no-print-directory -j2 node-release eddy-quick
	@echo 'Running on eddy; for real Maelstrom put it on the PATH or give MAELSTROM=path/to/maelstrom.'
	target/quick/eddy test --strict --recovery $(RECOVERY) $(TEST_FLAGS)
else
	@$(MAKE) --no-print-directory node-release
	@echo 'Running on $(MAELSTROM); for eddy give MAELSTROM= (nothing).'
	$(MAELSTROM) test $(TEST_FLAGS)
endif

node-release:
	cargo build --release --bin $(WORKLOAD)

# Unoptimised it is built in seconds rather than minutes, and fast enough for such a run.
eddy-quick:
	cargo build --profile quick --features workbench --bin eddy

test: lint doc no-std work
	cargo test --features workbench

lint:
	cargo fmt --check
	cargo clippy --no-default-features --lib -- -D warnings
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --features workbench -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --features workbench

# The core and all that it depends on, by a compiler that has core and alloc to offer and no std.
NO_STD = $(abspath target/no-std)
NO_STD_LIBRARIES = $(NO_STD)/lib/rustlib/$(HOST)/lib
no-std:
	@rm -rf $(NO_STD)/lib && mkdir -p $(NO_STD_LIBRARIES)
	@for crate in core alloc compiler_builtins; do \
	  ln -sf "$$(rustc --print target-libdir)"/lib$$crate-* $(NO_STD_LIBRARIES) || exit 1; done
	RUSTFLAGS='--sysroot $(NO_STD)' cargo check --no-default-features --lib --target $(HOST) --target-dir $(NO_STD)

# Needs valgrind (apt install valgrind); without it nothing is checked, and it says so.
work:
	cargo bench --profile release --no-default-features --bench work

# Campaigns of simulated counters under every fault, the store's messages included, each held to what its level promises;
# then twenty million messages through counters in virtual time, then the larger bounds of the model checker. Under such
# faults a run can end in which not one add succeeded; it proves nothing, and eddy calls it unknown, exit code 2. What is
# wrong has exit code 1 and ends the soak.
SOAK_SEEDS ?= 2000
# Faults come and go so that enough happens in between for a level that is not kept to show.
SOAK_UNDER = target/workbench/eddy sim --strict -w g-counter --node-count 3 --concurrency 20n --rate 100 --time-limit 20 \
	--latency 10 --latency-dist exponential --nemesis-interval 3 --nemesis-services --seeds $(SOAK_SEEDS) --nemesis
# What no other node has heard yet, eventual may lose in a kill.
SOAK_ALIVE = $(SOAK_UNDER) partition,one-way,pause,loss,duplicate,reorder,ghost
SOAK = $(SOAK_ALIVE),kill
# An order that only clients agree with, not time, is harder to find, and can be found among fewer operations.
SOAK_FEWER = $(SOAK) --concurrency 10n
soak:
	cargo build --profile workbench --features workbench --bin eddy
	$(SOAK) --consistency-models regular --seq-kv maelstrom -- --consistency regular || [ $$? = 2 ]
	$(SOAK) --consistency-models regular --seq-kv strict -- --consistency regular || [ $$? = 2 ]
	$(SOAK) --consistency-models linearizable --seq-kv maelstrom -- --consistency linearizable || [ $$? = 2 ]
	$(SOAK) --consistency-models linearizable --seq-kv strict -- --consistency linearizable || [ $$? = 2 ]
	$(SOAK) --consistency-models linearizable --seq-kv lazy -- --consistency linearizable || [ $$? = 2 ]
	$(SOAK) --consistency-models linearizable -- --consistency linearizable --kv lin-kv || [ $$? = 2 ]
	$(SOAK_FEWER) --consistency-models sequential --seq-kv strict -- --consistency sequential || [ $$? = 2 ]
	$(SOAK_FEWER) --consistency-models sequential --seq-kv lazy -- --consistency sequential || [ $$? = 2 ]
	$(SOAK_FEWER) --consistency-models linearizable -- --consistency sequential --kv lin-kv || [ $$? = 2 ]
	$(SOAK_ALIVE) --consistency-models eventual -- --consistency eventual || [ $$? = 2 ]
	cargo test --release --test soak -- --ignored --nocapture
	cargo test --release --test model -- --ignored --nocapture

# Needs cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler. To take 64 MiB at once for a few KiB of input is a
# failure, too.
FUZZ_SECONDS ?= 60
fuzz:
	for target in lines nodes workbench; do RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz $$target -- \
	  -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -len_control=0 -malloc_limit_mb=64 -dict=tests/fuzz/protocol.dict || exit 1; done

# Needs cargo-deny (cargo install cargo-deny).
deny:
	cargo deny --config .ci/deny.toml check bans licenses sources

# Benches are built for speed alone; the node among them is what a release is.
bench:
	cargo build --release --bin echo --target-dir target/released
	ECHO=$(abspath target/released/release/echo) cargo bench --bench end_to_end
	cargo bench --bench core
	cargo bench --features workbench --bench routing
	cargo bench --features workbench --bench million

# In virtual time: the same table on every machine.
growth:
	cargo bench --features workbench --bench growth

# A panic ends the program, so nobody needs the tables to unwind by. A target of its own keeps the flags from the build
# scripts.
small:
	RUSTFLAGS='-C relocation-model=static -C llvm-args=--min-jump-table-entries=99 -C link-arg=-Wl,--no-eh-frame-hdr' \
		cargo build --profile small --target $(HOST) --bin g-counter
	objcopy --remove-section .eh_frame --remove-section .gcc_except_table target/$(HOST)/small/g-counter
	@ls -l target/$(HOST)/small/g-counter

help:
	@echo 'make maelstrom   build release and run the main job: on real Maelstrom if it is on the PATH'
	@echo '                 or MAELSTROM=path/to/maelstrom is given, else on eddy; these may be set:'
	@echo '    WORKLOAD=$(WORKLOAD) CONSISTENCY=$(CONSISTENCY) NODES=$(NODES) RATE=$(RATE) TIME=$(TIME) CONCURRENCY=$(CONCURRENCY)'
	@echo '    LATENCY=$(LATENCY) NEMESIS=$(NEMESIS) NEMESIS_INTERVAL=$(NEMESIS_INTERVAL) RECOVERY=$(RECOVERY)'
	@echo 'make test        formatting, lints for every feature set, documentation, the core without std, all tests'
	@echo 'make work        what an operation costs in instructions, against the recorded figures'
	@echo 'make soak        thousands of simulated runs under every fault (SOAK_SEEDS=$(SOAK_SEEDS))'
	@echo 'make fuzz        coverage-guided fuzzing (FUZZ_SECONDS=$(FUZZ_SECONDS) a target)'
	@echo 'make deny        licences and duplicates of dependencies'
	@echo 'make bench       echo against a straight loop and against cat, as ratios; the core, part by part;'
	@echo '                 the workbench, in messages a second and seconds over its time'
	@echo 'make growth      what a counter costs as nodes, clients and latency grow, as a table'
	@echo 'make small       a g-counter for where there is little room'
