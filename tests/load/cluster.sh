#!/usr/bin/env bash
# Judges nodes as a service: three of them behind eddy serve, each with a member of etcd, all on loopback. Members,
# nodes and services are killed in turn while eddy load sends requests.
#
#   tests/load/cluster.sh WORKLOAD SECONDS [flags of eddy load] [-- flags of the node]
#
# EDDY names the program, NODES the folder of the nodes, and STEP the seconds between two faults, or 0 for none. The exit
# status is that of eddy load, 4 without etcd, or 5 if the cluster does not start.
set -euo pipefail
workload=$1 seconds=$2
shift 2
flags=()
while (($#)) && [[ $1 != -- ]]; do flags+=("$1"); shift; done
node_flags=("$@")
eddy=${EDDY:-target/workbench/eddy} node=${NODES:-target/release}/$workload step=${STEP:-2}
command -v etcd > /dev/null || { echo 'etcd is not installed: apt-get install etcd-server' >&2; exit 4; }

folder=$(mktemp -d)
members=() services=() load=
end() {
  kill $load "${services[@]}" 2> /dev/null || true
  kill -KILL "${members[@]}" 2> /dev/null || true
  wait 2> /dev/null
  rm -rf "$folder"
}
trap end EXIT

# Each process has a loopback address of its own, so clusters that run at the same time can use the same ports, below those
# that Linux takes for connections.
ip=127.$(($$ >> 16 & 255)).$(($$ >> 8 & 255)).$(($$ & 255))
member() { echo "http://$ip:2000$1"; }
peer_of_member() { echo "http://$ip:2001$1"; }
service() { echo "$ip:2002$1"; }
initial=m0=$(peer_of_member 0),m1=$(peer_of_member 1),m2=$(peer_of_member 2)
stores=etcd=$(member 0),$(member 1),$(member 2)
peers=n0=$(service 0),n1=$(service 1),n2=$(service 2)

start_member() {
  etcd --name "m$1" --data-dir "$folder/m$1" --initial-cluster "$initial" \
    --listen-client-urls "$(member "$1")" --advertise-client-urls "$(member "$1")" \
    --listen-peer-urls "$(peer_of_member "$1")" --initial-advertise-peer-urls "$(peer_of_member "$1")" \
    >> "$folder/m$1.log" 2>&1 &
  members[$1]=$!
}

start_service() {
  "$eddy" serve --bin "$node" --id "n$1" --peers "$peers" --seq-kv "$stores" --lin-kv "$stores" "${node_flags[@]}" \
    >> "$folder/n$1.log" 2>&1 &
  services[$1]=$!
}

is_healthy() {
  (exec 3<> "/dev/tcp/$ip/2000$1" && printf 'GET /health HTTP/1.0\r\n\r\n' >&3 && grep -q '"health":"true"' <&3) 2> /dev/null
}

# wait_for COMMAND...: until it succeeds, for 30 s.
wait_for() {
  for ((tries = 0; tries < 300; tries++)); do
    "$@" && return
    sleep 0.1
  done
  echo "not within 30 s: $*" >&2
  tail "$folder"/*.log >&2
  exit 5
}

for index in 0 1 2; do start_member $index; done
for index in 0 1 2; do wait_for is_healthy $index; done
for index in 0 1 2; do start_service $index; done
for index in 0 1 2; do wait_for grep -q 'is ready' "$folder/n$index.log"; done

"$eddy" load -w "$workload" --connect "$(service 0),$(service 1),$(service 2)" --time-limit "$seconds" "${flags[@]}" &
load=$!

# kill_one PID: ends a process of this script at once.
kill_one() {
  kill -KILL "$1"
  wait "$1" 2> /dev/null || true
}

# One fault after the other, while clients send requests. A member is down for a step. A service starts its node again by
# itself, and a service that is killed is started at once.
SECONDS=0 count=0
while ((step && SECONDS + 2 * step < seconds)); do
  index=$((count / 3 % 3))
  sleep "$step"
  case $((count % 3)) in
    0)
      kill_one "${members[$index]}"
      sleep "$step"
      start_member $index
      ;;
    1) pkill -KILL -P "${services[$index]}" -x "$(basename "$node")" ;;
    2)
      kill_one "${services[$index]}"
      start_service $index
      ;;
  esac
  count=$((count + 1))
done
status=0
wait "$load" || status=$?
echo "killed: members $(((count + 2) / 3)), nodes $(((count + 1) / 3)), services $((count / 3))" >&2
exit $status
