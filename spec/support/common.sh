# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share: source it from bash.
#
# Each thing that is started keeps all it has in one state folder $TMPDIR/dw.XXXXXX: a file `state` (key=value lines),
# *.pid files, logs, sockets, data. Whoever has the folder can end it (`down DIR`); a folder whose owner has died is
# ended by the next run (`sweep`).

prog=${0##*/}
PATH=$PATH:/usr/sbin:/sbin

# Exit statuses: 1 it failed, 2 bad usage, 77 this machine cannot run it.
die()  { echo "$prog: $1" >&2; exit "${2:-1}"; }
need() { # need PROGRAM PACKAGE
  command -v "$1" >/dev/null || die "$1 is not installed: apt-get install $2 (or: make deps)" 77
}
need_root() {
  [ "$(id -u)" = 0 ] || die "must run as root, since $1: use sudo, or set DOCKER_HOST to an engine that runs already" 77
}
usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0; } # the script's opening comment

# A process that has ended but that nobody has waited for (a zombie) still answers kill -0, so its state is read.
alive() {
  local state
  state=$(awk '$1 == "State:" { print $2 }' "/proc/${1:-none}/status" 2>/dev/null) || return 1
  [ -n "$state" ] && [ "$state" != Z ]
}
# stop PID WORD [SECONDS]: end PID if its command line has WORD in it.
stop() {
  local pid=${1:-} word=$2 n=$(( ${3:-10} * 10 ))
  alive "$pid" || return 0
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$word" || return 0
  kill "$pid" 2>/dev/null
  while alive "$pid" && [ $((n--)) -gt 0 ]; do sleep 0.1; done
  if alive "$pid"; then kill -9 "$pid" 2>/dev/null; sleep 0.2; fi
}

# A process's identity: its id may be another's later, together with the time it started it is not.
identity() { awk -v pid="$1" '{ sub(/.*\) /, ""); print pid ":" $20 }' "/proc/$1/stat" 2>/dev/null; }
owner_lives() { [ -n "$1" ] && [ "$(identity "${1%%:*}")" = "$1" ] && alive "${1%%:*}"; }

# A port of the loopback interface that nobody listens on just now, below those that the kernel hands out by itself.
free_port() {
  local port n
  for n in $(seq 50); do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  die 'found no free port'
}

# new_dir KIND: make a state folder. Its path is kept short, since that of a Unix socket has 107 characters at most.
# $DW_OWNER (an identity) is who is to end it; without one it lives until somebody calls down.
new_dir() {
  local dir
  dir=$(mktemp -d "${TMPDIR:-/tmp}/dw.XXXXXX") || die "cannot make a folder in ${TMPDIR:-/tmp}"
  dir=$(cd "$dir" && pwd -P)
  [ "${#dir}" -le 80 ] || { rmdir "$dir"; die "path too long for a Unix socket: $dir (set TMPDIR)"; }
  printf 'kind=%s\nowner=%s\n' "$1" "${DW_OWNER:-}" >"$dir/state"
  echo "$dir"
}
field() { sed -n "s/^$2=//p" "$1/state" 2>/dev/null | tail -n 1; } # field DIR KEY

# wait_for SECONDS COMMAND…: until COMMAND succeeds.
wait_for() {
  local n=$(($1 * 20)); shift
  until "$@" >/dev/null 2>&1; do [ $((n--)) -gt 0 ] || return 1; sleep 0.05; done
}

# forward -I|-D NAME: the firewall rule that lets the containers of engine NAME talk to each other. Our engines
# write no rules, and another one on the machine may have set FORWARD to DROP.
forward() {
  iptables -w "$1" FORWARD -s 172.16.0.0/12 -d 172.16.0.0/12 -m comment --comment "$2" -j ACCEPT 2>/dev/null
}

# start_engine DIR: run DIR/start and wait until the engine answers.
start_engine() {
  local started n
  bash "$1/start" </dev/null >>"$1/log" 2>&1 &
  started=$!
  [ "$(field "$1" engine)" != podman ] || echo $started >"$1/docker.pid"
  for n in $(seq 600); do
    curl -fsS --unix-socket "$1/docker.sock" http://engine/_ping >/dev/null 2>&1 && return
    alive $started || { sleep 0.1; return 1; }
    sleep 0.05
  done
  return 1
}

# A throw-away CA: make_ca DIR.
make_ca() {
  openssl req -x509 "${new_key[@]}" -days 2 -subj '/CN=docker-watcher specs' \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
    -keyout "$1/ca-key.pem" -out "$1/ca.pem" 2>/dev/null
}
new_key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
# A certificate of it: make_cert DIR [server|client [NAMES [ended]]] makes DIR/server.pem and DIR/server-key.pem. NAMES
# is what it is good for (DNS:localhost,IP:127.0.0.1); one that has ended did so in 2001.
make_cert() {
  local dir=$1 what=${2:-server} names=${3:-DNS:localhost,IP:127.0.0.1} validity=(-days 2) work
  [ -z "${4:-}" ] || validity=(-startdate 20000101000000Z -enddate 20010101000000Z)
  work=$(mktemp -d "$dir/cert.XXXXXX")
  openssl req "${new_key[@]}" -subj "/CN=$what" -keyout "$dir/$what-key.pem" -out "$work/request" 2>/dev/null
  : >"$work/index"
  cat >"$work/conf" <<END
[ca]
default_ca = here
[here]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
subjectAltName = $names
extendedKeyUsage = ${what}Auth
END
  openssl ca -batch -notext -config "$work/conf" -cert "$dir/ca.pem" -keyfile "$dir/ca-key.pem" \
    "${validity[@]}" -in "$work/request" -out "$dir/$what.pem" 2>"$work/log" || { cat "$work/log" >&2; return 1; }
  rm -r "$work"
}
