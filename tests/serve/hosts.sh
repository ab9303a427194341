#!/usr/bin/env bash
# Judges a counter on three hosts, each with a member of etcd and a node behind eddy serve. The hosts are network
# namespaces with two links: one to the others, one to the clients. One host after the other is cut off from the others
# by taking that link down, while eddy load sends requests to all of them.
#
#   tests/serve/hosts.sh SECONDS LEVEL
#
# EDDY names the program, and NODE that of the nodes. The exit status is that of eddy load, or 5 if the cluster does not
# start or a host was not cut off. Where etcd, ip or the right to make namespaces is missing, it says so and exits with 0.
set -euo pipefail
seconds=$1 level=$2
eddy=${EDDY:-target/quick/eddy} node=${NODE:-target/release/g-counter}

# How long a link is down, and then up, in seconds: longer than a service lets another be silent.
step=7

skip() {
  echo "skipped the cluster on three hosts: $1" >&2
  exit 0
}

# All namespaces are made in a new one, and all processes end with it.
if [[ -z ${INSIDE:-} ]]; then
  for program in etcd ip unshare; do
    command -v $program > /dev/null || skip "there is no $program (apt-get install etcd-server iproute2 util-linux)"
  done
  apart=(unshare --map-root-user --net --mount --pid --fork --kill-child --mount-proc)
  "${apart[@]}" bash -c 'mount -t tmpfs none /run && ip netns add host && ip link add type veth' 2> /dev/null ||
    skip 'this user may not make network namespaces'
  INSIDE=yes exec "${apart[@]}" "$0" "$@"
fi
mount -t tmpfs none /run

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
head -c 32 /dev/urandom | base64 > "$folder/token"

for network in clients cluster; do
  ip link add $network type bridge
  ip link set $network up
done
ip address add 10.77.1.10/24 dev clients
for host in 0 1 2; do
  ip netns add host$host
  ip -n host$host link set lo up
  for network in 1:clients 2:cluster; do
    link=${network#*:}$host
    ip link add "$link" type veth peer name "${network#*:}" netns host$host
    ip link set "$link" master "${network#*:}" up
    ip -n host$host address add 10.77.${network%:*}.$((host + 1))/24 dev "${network#*:}"
    ip -n host$host link set "${network#*:}" up
  done
done

initial=m0=http://10.77.2.1:2380,m1=http://10.77.2.2:2380,m2=http://10.77.2.3:2380
stores=etcd=http://10.77.2.1:2379,http://10.77.2.2:2379,http://10.77.2.3:2379
peers=n0=10.77.2.1:7000,n1=10.77.2.2:7000,n2=10.77.2.3:7000
for host in 0 1 2; do
  own=http://10.77.2.$((host + 1))
  ip netns exec host$host etcd --name m$host --data-dir "$folder/m$host" --initial-cluster $initial \
    --listen-client-urls $own:2379 --advertise-client-urls $own:2379 \
    --listen-peer-urls $own:2380 --initial-advertise-peer-urls $own:2380 > "$folder/m$host.log" 2>&1 &
  ip netns exec host$host "$eddy" serve --bin "$node" --id n$host --peers $peers --listen 0.0.0.0:7000 \
    --token-file "$folder/token" --seq-kv $stores -- --consistency "$level" > "$folder/n$host.log" 2>&1 &
done

# Each node is ready, hears both others, and its member has a leader.
is_ready() {
  local log=$folder/n$1.log
  grep -q 'is ready' "$log" && [[ $(grep -c 'is connected$' "$log") -ge 2 ]] &&
    ip netns exec "host$1" bash -c "exec 3<> /dev/tcp/10.77.2.$(($1 + 1))/2379 &&
      printf 'GET /health HTTP/1.0\r\n\r\n' >&3 && grep -q '\"health\":\"true\"' <&3" 2> /dev/null
}
for host in 0 1 2; do
  for ((tries = 0; ; tries++)); do
    is_ready $host && break
    ((tries < 300)) || { tail "$folder"/*.log >&2; exit 5; }
    sleep 0.1
  done
done

"$eddy" load --connect 10.77.1.1:7000,10.77.1.2:7000,10.77.1.3:7000 --token-file "$folder/token" --no-store -w g-counter \
  --rate 500 --concurrency 4n --time-limit "$seconds" --recovery 5 --consistency-models "$level" &
load=$!
SECONDS=0 count=0
while ((SECONDS + 2 * step < seconds)); do
  sleep "$step"
  ip link set cluster$((count % 3)) down
  sleep "$step"
  ip link set cluster$((count % 3)) up
  count=$((count + 1))
done
status=0
wait $load || status=$?
for ((host = 0; host < 3 && host < count; host++)); do
  grep -q 'is not connected (it is silent)' "$folder/n$host.log" || { echo "host$host was not cut off" >&2; exit 5; }
done
echo "hosts cut off: $count, for $step s each" >&2
exit $status
