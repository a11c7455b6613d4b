package install_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/install"
)

// inNetworks joins two networks of their own by a cable: in the first one the
// rules are loaded and something listens at 8080 and 9090; from the second one
// each address of $clients tries each port. Anybody may make them, in a user
// namespace.
const inNetworks = `
set -eu
export PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
unshare --net sleep 60 & outside=$!
trap 'kill $outside $(jobs -p) 2>/dev/null' EXIT
until [ "$(readlink /proc/$outside/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
ip link add here type veth peer name there netns $outside
ip addr add 10.0.0.1/8 dev here
ip link set here up
out() { nsenter --net=/proc/$outside/ns/net "$@"; }
out ip link set lo up
for client in $clients; do out ip addr add $client/8 dev there; done
out ip link set there up
nft -f "$rules"
socat TCP-LISTEN:8080,fork,reuseaddr - >/dev/null </dev/null &
socat TCP-LISTEN:9090,fork,reuseaddr - >/dev/null </dev/null &
reach() { # PORT FROM COMMAND...
	port=$1 from=$2; shift 2
	for turn in 1 2 3 4 5 6 7 8; do
		if "$@" socat -u OPEN:/dev/null TCP:10.0.0.1:$port,bind=$from,connect-timeout=0.4 2>/dev/null; then echo "$from $port in"; return; fi
	done
	echo "$from $port out"
}
for client in $clients; do for port in 8080 9090; do reach $port $client out; done; done
reach 8080 127.0.0.1 env
nft list table inet penstock | grep -q 'counter packets [1-9]' && echo counted
nft delete table inet penstock
`

// TestFirewallInANetwork has the kernel apply the rules: the named network comes
// in, others do not, and other ports are left alone.
func TestFirewallInANetwork(t *testing.T) {
	i := newImage(t)
	o := i.options()
	var err error
	if o.From, err = install.ParseFrom([]string{"10.0.8.0/24", "2001:db8::/32"}); err != nil {
		t.Fatal(err)
	}
	o.Listeners = []install.Listener{{Name: "https", Network: "tcp", Address: ":8080"}, {Name: "link_udp", Network: "udp", Address: ":5427"}}
	i.apply(install.Install(o))
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--net", "bash", "-c", inNetworks)
	cmd.Env = append(os.Environ(), "clients=10.0.8.7 10.0.9.7", "rules="+filepath.Join(i.Root, "etc/penstock/firewall.nft"))
	out, err := cmd.CombinedOutput()
	want := "10.0.8.7 8080 in\n10.0.8.7 9090 in\n10.0.9.7 8080 out\n10.0.9.7 9090 in\n127.0.0.1 8080 in\ncounted\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, strings.TrimSpace(string(out)), want)
	}
}
