# make maelstrom   build and run the main job
# make test        every check and every test
# make help        what else there is

WORKLOAD ?= g-counter
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

# The challenge that each workload is, by its name in the table of `eddy challenge`.
CHALLENGE_echo = 1
CHALLENGE_unique-ids = 2
CHALLENGE_broadcast = 3d
CHALLENGE_g-counter = 4
CHALLENGE_kafka = 5b
CHALLENGE_txn-rw-register = 6c

# The same parameters for real Maelstrom, which has no such table.
MAELSTROM_echo = --node-count 1 --time-limit 10
MAELSTROM_unique-ids = --node-count 3 --rate 1000 --time-limit 30 --availability total --nemesis partition
MAELSTROM_broadcast = --node-count 25 --rate 100 --time-limit 20 --latency 100
MAELSTROM_g-counter = --node-count 3 --rate 100 --time-limit 20 --nemesis partition
MAELSTROM_kafka = --node-count 2 --concurrency 2n --rate 1000 --time-limit 20
MAELSTROM_txn-rw-register = --node-count 2 --concurrency 2n --rate 1000 --time-limit 20 --nemesis partition \
	--consistency-models read-committed --availability total

# The main job is short, as a newcomer waits for it. Its store is never cut off, so there is little to recover from.
SHORT_g-counter = --time-limit 4 --nemesis-interval 2 --recovery 1 --latency 10 --concurrency 2n

# What the workloads are run with that are no challenge.
OTHER = --node-count 3 --rate 100 --time-limit 10 --concurrency 2n --latency 10 --nemesis partition --nemesis-interval 5

# With STORE=etcd the store is a cluster of three members, which are killed and paused instead.
STORE_etcd = --etcd-local 3 --time-limit 8 --recovery 5 --latency 0 --nemesis member-kill,member-pause
ifneq ($(STORE),)
override MAELSTROM =
$(if $(STORE_$(STORE)),,$(error There is no STORE=$(STORE), only etcd))
endif

WORKLOADS = $(subst _,-,$(filter-out eddy,$(basename $(notdir $(wildcard src/bin/*.rs)))))
ifeq ($(filter $(WORKLOAD),$(WORKLOADS)),)
$(error There is no WORKLOAD=$(WORKLOAD), only $(WORKLOADS))
endif

# A flag of the test, if its variable is given.
given = $(if $($(1)),$(2) $($(1)))
GIVEN = $(call given,NODES,--node-count) $(call given,RATE,--rate) $(call given,TIME,--time-limit) \
	$(call given,CONCURRENCY,--concurrency) $(call given,LATENCY,--latency) $(call given,NEMESIS,--nemesis) $(FLAGS) \
	$(if $(filter g-counter pn-counter,$(WORKLOAD)),-- --consistency $(CONSISTENCY))

CONSISTENCY ?= regular
MAELSTROM   ?= $(shell command -v maelstrom 2>/dev/null)
NODE = target/release/$(WORKLOAD)

.PHONY: maelstrom node-release eddy-quick test run-tests checks lint doc no-std work soak cluster fuzz deny bench growth small help

maelstrom:
ifeq ($(MAELSTROM),)
	@$(if $(STORE),command -v etcd >/dev/null || { echo 'STORE=etcd needs etcd: apt-get install etcd-server'; exit 1; },:)
	@$(MAKE) --no-print-directory -j2 node-release eddy-quick
	@echo 'Running on eddy$(if $(STORE), with $(STORE),; for real Maelstrom put it on the PATH or give MAELSTROM=path/to/maelstrom).'
	target/quick/eddy $(if $(CHALLENGE_$(WORKLOAD)),challenge $(CHALLENGE_$(WORKLOAD)),test -w $(WORKLOAD) $(OTHER)) \
	  --bin $(NODE) --strict $(SHORT_$(WORKLOAD)) $(STORE_$(STORE)) $(GIVEN)
else
	@$(MAKE) --no-print-directory node-release
	@echo 'Running on $(MAELSTROM); for eddy give MAELSTROM= (nothing).'
	$(MAELSTROM) test -w $(WORKLOAD) --bin $(NODE) $(or $(MAELSTROM_$(WORKLOAD)),$(OTHER)) $(GIVEN)
endif

node-release:
	cargo build --release --bin $(WORKLOAD)

# Unoptimised it is built in seconds rather than minutes, and fast enough for such a run.
eddy-quick:
	cargo build --profile quick --features workbench --bin eddy

# The tests are built first, by all processors. Then they run, and the checks are built beside them. What the checks print
# comes after what the tests print.
test:
	cargo test --features workbench --no-run
	@$(MAKE) --no-print-directory -kj3 run-tests checks; status=$$?; cat target/checks.log; exit $$status

# Many tests wait for processes most of the time, so twice as many run at once as there are processors. MAKEFLAGS is empty
# here and below as rustc and rustdoc warn if make's jobs are not for them.
run-tests:
	MAKEFLAGS= RUST_TEST_THREADS=$$(($$(nproc) * 2)) cargo test --features workbench

# Two at a time, as the tests are the third job. no-std and work go first: they build in folders of their own, so cargo does
# not keep the tests waiting for its lock.
checks:
	@mkdir -p target
	@CARGO_TERM_QUIET=true nice $(MAKE) --no-print-directory --output-sync no-std work lint doc > target/checks.log 2>&1

lint:
	cargo fmt --check
	cargo clippy --no-default-features --lib -- -D warnings
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --features workbench,work -- -D warnings
	cargo clippy --manifest-path tests/fuzz/Cargo.toml --no-default-features --target-dir target -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --features workbench

# The core and all that it depends on, by a compiler that has core and alloc to offer and no std.
NO_STD = $(abspath target/no-std)
NO_STD_LIBRARIES = $(NO_STD)/lib/rustlib/$(HOST)/lib
no-std:
	@rm -rf $(NO_STD)/lib && mkdir -p $(NO_STD_LIBRARIES)
	@for crate in core alloc compiler_builtins; do \
	  ln -sf "$$(MAKEFLAGS= rustc --print target-libdir)"/lib$$crate-* $(NO_STD_LIBRARIES) || exit 1; done
	RUSTFLAGS='--sysroot $(NO_STD)' cargo check --no-default-features --lib --target $(HOST) --target-dir $(NO_STD)

# Needs valgrind (apt install valgrind); without it nothing is built or checked, and it says so.
work:
	@if command -v valgrind >/dev/null; then cargo run --release --no-default-features --features work --bin work; \
	  else echo 'No instructions are counted without valgrind (apt install valgrind).'; fi

# Campaigns of simulated counters under every fault, the store's messages included, each held to what its level promises;
# then twenty million messages through counters in virtual time, then the larger bounds of the model checker. Under such
# faults a run can end in which not one add succeeded; it proves nothing, and eddy calls it unknown, exit code 2. What is
# wrong has exit code 1 and ends the soak.
SOAK_SEEDS ?= 2000
# Faults come and go so that enough happens in between for a level that is not kept to show.
SOAK_UNDER = target/release/eddy sim --strict -w g-counter --node-count 3 --concurrency 20n --rate 100 --time-limit 20 \
	--latency 10 --latency-dist exponential --nemesis-interval 3 --nemesis-services --seeds $(SOAK_SEEDS) --nemesis
# What no other node has heard yet, eventual may lose in a kill.
SOAK_ALIVE = $(SOAK_UNDER) partition,one-way,pause,loss,duplicate,reorder,ghost
SOAK = $(SOAK_ALIVE),kill
# An order that only clients agree with, not time, is harder to find, and can be found among fewer operations.
SOAK_FEWER = $(SOAK) --concurrency 10n
soak:
	cargo build --release --features workbench --bin eddy
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

# A counter as a service on three hosts, which are network namespaces, with one after the other cut off from the rest. It is
# skipped, and says so, where etcd, ip or the right to make namespaces is missing.
cluster:
	@$(MAKE) --no-print-directory -j2 WORKLOAD=g-counter node-release eddy-quick
	@for level in regular linearizable; do tests/serve/hosts.sh 45 $$level || exit 1; done

# Needs cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler. To take 64 MiB at once for a few KiB of input is a
# failure, too.
FUZZ_SECONDS ?= 60
fuzz:
	for target in lines nodes workbench; do RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz $$target -- \
	  -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -len_control=0 -malloc_limit_mb=64 -dict=tests/fuzz/protocol.dict || exit 1; done

# Needs cargo-deny (cargo install cargo-deny).
deny:
	cargo deny --config .ci/deny.toml check bans licenses sources

# Where the compiler happens to put a loop makes the straight loop up to a third slower, so it is aligned. What is compared
# with it is what a release is.
bench:
	cargo build --release --bin echo --target-dir target/released
	cargo build --release --features work --bin flood --target-dir target/released
	RUSTFLAGS='-C llvm-args=-align-all-nofallthru-blocks=5' RELEASED=$(abspath target/released/release) \
	  cargo bench --features work --bench end_to_end --target-dir target/aligned
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
	@echo '    WORKLOAD=$(WORKLOAD) CONSISTENCY=$(CONSISTENCY) NODES= RATE= TIME= CONCURRENCY= LATENCY= NEMESIS='
	@echo '    STORE=etcd (three members that are started for the run, killed and paused; eddy only)'
	@echo "    FLAGS='more flags of eddy test or maelstrom test'"
	@echo 'make test        formatting, lints for every feature set, documentation, the core without std, all tests'
	@echo 'make work        what an operation costs in instructions, against the recorded figures'
	@echo 'make soak        thousands of simulated runs under every fault (SOAK_SEEDS=$(SOAK_SEEDS))'
	@echo 'make cluster     a counter as a service on three hosts (network namespaces, etcd) that are cut off in turn'
	@echo 'make fuzz        coverage-guided fuzzing (FUZZ_SECONDS=$(FUZZ_SECONDS) a target)'
	@echo 'make deny        licences and duplicates of dependencies'
	@echo 'make bench       echo against a straight loop and against cat, as ratios; the core, part by part;'
	@echo '                 the workbench, in messages a second and seconds over its time'
	@echo 'make growth      what a counter costs as nodes, clients and latency grow, as a table'
	@echo 'make small       a g-counter for where there is little room'
