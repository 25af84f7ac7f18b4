#!/usr/bin/env bash
# A real kube-apiserver 1.36.3 over a real etcd 3.6.5, for the tests: no kubelet, no controllers.
#   tests/real/kubernetes.sh HOME ADDRESS ETCD_PORT [build]
# HOME is a new folder, ADDRESS one of the loopback network: https://ADDRESS:443 is the API, as root; ETCD_PORT and the next
# one are free. The programs are built once, into target/real, when "build" is said (some ten minutes). Prints READY when it
# answers and then stays: it ends with this script's standard input. The word "kill" there kills the API server at once, "start"
# starts it again on the same data. HOME/ca.pem is its authority, HOME/admin the token of an administrator, HOME/audit.log holds
# what others asked for. Exit code 77 with a line when it cannot be had.
set -euo pipefail

home=$1 address=$2 etcd_port=$3 port=443 name=kube-apiserver
# shellcheck source=tests/real/common.sh
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/go.sh"

command -v openssl >/dev/null || skip "no openssl, which makes the certificates: scripts/setup.sh test installs it"
programs=()
for program in etcd apiserver; do
    if [ "${4:-}" = build ]; then
        programs+=("$(go_program "kubernetes-$program" "kubernetes/$program" .)") || { echo "${programs[-1]}"; exit 77; }
    else
        programs+=("$real/kubernetes-$program")
        [ -x "${programs[-1]}" ] || skip "the Kubernetes API is not built: 'make kubernetes' does that"
    fi
done

mkdir -p "$home"
cd "$home"
admin=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
echo "$admin" >admin
echo "$admin,admin,1,\"system:masters\"" >tokens.csv
{
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=test-authority
    openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=kube-apiserver
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.pem \
        -extfile <(echo "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:$address")
    openssl genrsa -out accounts.key 2048
    openssl rsa -in accounts.key -pubout -out accounts.pub
} >openssl.log 2>&1 || { echo "openssl failed: $(tail -n 1 openssl.log)"; exit 1; }
# Everything that service accounts ask for, twice for a watch: when it begins and when it ends.
cat >audit.yaml <<'YAML'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: ["system:masters"]
- level: Metadata
  userGroups: ["system:serviceaccounts", "system:unauthenticated"]
- level: None
YAML

"${programs[0]}" --data-dir etcd --listen-client-urls "http://127.0.0.1:$etcd_port" --unsafe-no-fsync \
    --advertise-client-urls "http://127.0.0.1:$etcd_port" --listen-peer-urls "http://127.0.0.1:$((etcd_port + 1))" \
    --initial-advertise-peer-urls "http://127.0.0.1:$((etcd_port + 1))" \
    --initial-cluster "default=http://127.0.0.1:$((etcd_port + 1))" >etcd.log 2>&1 </dev/null &
etcd=$!
leave() {
    kill -9 "$etcd" 2>/dev/null || true
    wait "$etcd" 2>/dev/null || true
}

launch() {
    "${programs[1]}" --etcd-servers="http://127.0.0.1:$etcd_port" --bind-address="$address" --secure-port=443 \
        --advertise-address="$address" --endpoint-reconciler-type=none --tls-cert-file=server.pem --tls-private-key-file=server.key \
        --token-auth-file=tokens.csv --authorization-mode=RBAC --anonymous-auth=true \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=accounts.pub \
        --service-account-signing-key-file=accounts.key --service-cluster-ip-range=10.0.0.0/24 \
        --audit-policy-file=audit.yaml --audit-log-path=audit.log --audit-log-mode=blocking \
        --watch-cache=true --shutdown-delay-duration=0s >>out.log 2>&1 </dev/null &
    pid=$!
}

# It listens before it serves.
ready() {
    for _ in $(seq 1 1200); do
        if [ "$(ask /readyz)" = ok ]; then
            echo READY
            return
        fi
        kill -0 "$pid" 2>/dev/null || { echo "$name died: $(grep -m 1 -i 'error\|fail' out.log | cut -c -300)"; exit 1; }
        sleep 0.25
    done
    echo "$name did not start in five minutes"
    exit 1
}

# The last line of what the API answers.
ask() {
    printf 'GET %s HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n' "$1" "$admin" |
        timeout 5 openssl s_client -quiet -CAfile ca.pem -connect "$address:443" 2>/dev/null | tail -n 1 | tr -d '\r'
}

stay
