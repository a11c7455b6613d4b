package app

import (
	"net"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
)

func TestAPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = sockets{}.listen("wells", listenKey("wells"), config.Address(l.Addr().String()))
	if penstock.CodeOf(err) != penstock.Unavailable {
		t.Fatalf("code %s", penstock.CodeOf(err))
	}
	for _, part := range []string{"sources.wells: ", l.Addr().String(), "another program has the port"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if key := listenKey("mqtt"); key != "listen.mqtt" {
		t.Errorf("the broker's key is %s", key)
	}
}
