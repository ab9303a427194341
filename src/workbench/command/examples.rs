//! What `--help` says beside the flags.

/// How each of the Gossip Glomers challenges is run, with the parameters that Fly.io gives.
pub(super) const CHALLENGES: &str = "\
The Gossip Glomers challenges (https://fly.io/dist-sys):
  1   eddy test -w echo --bin ./echo --node-count 1 --time-limit 10
  2   eddy test -w unique-ids --bin ./ids --time-limit 30 --rate 1000 --node-count 3 \\
        --availability total --nemesis partition
  3a  eddy test -w broadcast --bin ./broadcast --node-count 1 --time-limit 20 --rate 10
  3b  eddy test -w broadcast --bin ./broadcast --node-count 5 --time-limit 20 --rate 10
  3c  eddy test -w broadcast --bin ./broadcast --node-count 5 --time-limit 20 --rate 10 \\
        --nemesis partition
  3d  eddy test -w broadcast --bin ./broadcast --node-count 25 --time-limit 20 --rate 100 \\
        --latency 100
        (below 30 messages an operation between servers; stable latency below 400 ms
        in the median and 600 ms at most)
  3e  as 3d (below 20 messages an operation; below 1 s in the median and 2 s at most)
  4   eddy test -w g-counter --bin ./counter --node-count 3 --rate 100 --time-limit 20 \\
        --nemesis partition
  5a  eddy test -w kafka --bin ./kafka --node-count 1 --concurrency 2n --time-limit 20 --rate 1000
  5b  eddy test -w kafka --bin ./kafka --node-count 2 --concurrency 2n --time-limit 20 --rate 1000
  5c  as 5b (fewer messages an operation)
  6a  eddy test -w txn-rw-register --bin ./txn --node-count 1 --time-limit 20 --rate 1000 \\
        --concurrency 2n --consistency-models read-uncommitted --availability total
  6b  eddy test -w txn-rw-register --bin ./txn --node-count 2 --concurrency 2n --time-limit 20 \\
        --rate 1000 --consistency-models read-uncommitted --availability total --nemesis partition
  6c  as 6b, with --consistency-models read-committed

  What stands after -- is given to the node, such as -- --consistency linearizable";

pub(super) const EXIT_STATUS: &str = "\
Exit status:
  0  valid
  1  invalid
  2  unknown: it could not be decided
  3  nothing to check: wrong flags, or the nodes did not get ready";
