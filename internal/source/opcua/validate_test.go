package opcua_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source/opcua"
	"github.com/penstock/penstock/internal/source/opcua/session"
)

func TestValidate(t *testing.T) {
	far := "opc.tcp://192.0.2.9:4840"
	for _, c := range []struct {
		name   string
		change func(*opcua.Config)
		says   string // empty when it holds
	}{
		{"as it is", func(*opcua.Config) {}, ""},
		{"no endpoint", func(c *opcua.Config) { c.Endpoint = "http://a" }, "endpoint: "},
		{"a password in the endpoint", func(c *opcua.Config) { c.Endpoint = "opc.tcp://a:b@127.0.0.1" }, "keys of their own"},
		{"no security far away", func(c *opcua.Config) { c.Endpoint = far }, "plain_text: true"},
		{"no security far away by name", func(c *opcua.Config) { c.Endpoint, c.Security.PlainText = far, true }, ""},
		{"nobody to trust", func(c *opcua.Config) { c.Security = session.Security{} }, "security.trust: nothing says"},
		{"two to trust", func(c *opcua.Config) { c.Security = session.Security{Trust: "first", CA: "f"} }, "not both"},
		{"a short fingerprint", func(c *opcua.Config) { c.Security = session.Security{Trust: "sha256:ab"} }, "64 hexadecimal"},
		{"colons", func(c *opcua.Config) {
			c.Security = session.Security{Trust: "sha256:" + strings.TrimSuffix(strings.Repeat("AB:", 32), ":")}
		}, ""},
		{"another trust", func(c *opcua.Config) { c.Security = session.Security{Trust: "all"} }, "neither"},
		{"another policy", func(c *opcua.Config) { c.Security = session.Security{Policy: "Basic128Rsa15", Trust: "first"} }, "security.policy"},
		{"another mode", func(c *opcua.Config) { c.Security = session.Security{Mode: "Encrypt", Trust: "first"} }, "security.mode"},
		{"signed without policy", func(c *opcua.Config) { c.Security.Mode = "Sign" }, "does not go with"},
		{"half a certificate", func(c *opcua.Config) { c.UserIdentity.Cert = "f" }, "user_identity: cert and key"},
		{"two users", func(c *opcua.Config) { c.User, c.UserIdentity = "a", session.Pair{Cert: "f", Key: "g"} }, "user: "},
		{"a password alone", func(c *opcua.Config) { c.Password = config.NewSecret("x") }, "without a user"},
		{"a long keepalive", func(c *opcua.Config) { c.Keepalive = config.Duration(2 * time.Hour) }, "keepalive: "},
		{"nothing", func(c *opcua.Config) { c.Groups = nil }, "groups: "},
		{"an empty group", func(c *opcua.Config) { c.Groups[0].Nodes = nil }, "groups[0].nodes"},
		{"groups without names", func(c *opcua.Config) { c.Groups = append(c.Groups, c.Groups[0]) }, "groups[1].name"},
		{"a point twice", func(c *opcua.Config) { g := &c.Groups[0]; g.Nodes = append(g.Nodes, g.Nodes[0]) }, "groups[0].nodes[0] is the point"},
		{"no node id", func(c *opcua.Config) { c.Groups[0].Nodes[0].Node = "flow=" }, "groups[0].nodes[0].node"},
		{"no node id at all", func(c *opcua.Config) { c.Groups[0].Nodes[0].Node = "" }, "groups[0].nodes[0].node"},
		{"a namespace by its URI", func(c *opcua.Config) { c.Groups[0].Nodes[0].Node = "nsu=urn:maker:plant;i=7" }, ""},
		{"a namespace without a node", func(c *opcua.Config) { c.Groups[0].Nodes[0].Node = "nsu=urn:maker:plant" }, "groups[0].nodes[0].node"},
		{"a namespace with half a node", func(c *opcua.Config) { c.Groups[0].Nodes[0].Node = "nsu=urn:maker;i=x" }, "groups[0].nodes[0].node"},
		{"no controller", func(c *opcua.Config) { c.Groups[0].Nodes[0].Controller = "a/b" }, "groups[0].nodes[0].controller"},
		{"no point", func(c *opcua.Config) { c.Groups[0].Nodes[0].Point = "" }, "groups[0].nodes[0].point"},
		{"both samplings", func(c *opcua.Config) {
			c.Groups[0].EveryChange, c.Groups[0].Sampling = true, config.Duration(time.Second)
		}, "every_change"},
		{"a long queue", func(c *opcua.Config) { c.Groups[0].Queue = 1_000_000 }, "queue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := settings("opc.tcp://127.0.0.1:4840")
			c.change(&config)
			err := config.Validate()
			switch {
			case c.says == "" && err != nil:
				t.Errorf("it is refused: %v", err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || penstock.CodeOf(err) == penstock.Unavailable):
				t.Errorf("the error is %v", err)
			}
		})
	}
}
