package cluster

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/pgtest"
)

// Options say what a cluster consists of.
type Options struct {
	Nodes int
	// Slaves are Modbus devices that are polled, each Every: the first half of them by
	// the gateway that has the lease, the others by every gateway at once.
	Slaves int
	Every  time.Duration
	// Balanced puts the gateways behind an HAProxy: see [Front].
	Balanced bool
	// Program is what the gateways run.
	Program string
}

// Cluster is gateways that share a record.
type Cluster struct {
	Options
	Nodes    []*Node
	Database *pgtest.Server
	Slaves   *Slaves
	Front    *Front // nil unless the gateways are behind a balancer

	t         testing.TB
	authority *testkit.Authority
}

// New starts a database, the devices and the gateways, which all end with the test.
func New(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := &Cluster{Options: o, t: t, Slaves: newSlaves(t, o.Slaves)}
	var err error
	if c.Database, err = pgtest.Start(pgtest.Memory()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.check(c.Database.Close()) })
	c.authority = testkit.NewAuthority(t)
	if o.Balanced {
		c.Front = newFront(c)
	}
	dir := t.TempDir()
	for i := range o.Nodes {
		n := c.newNode(i, filepath.Join(dir, fmt.Sprint("node-", i+1)))
		c.Nodes = append(c.Nodes, n)
		t.Cleanup(n.Kill)
	}
	errs := make([]error, len(c.Nodes))
	var starting sync.WaitGroup
	for i, n := range c.Nodes {
		starting.Go(func() { errs[i] = n.start() })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if c.Front != nil {
		c.Front.open()
	}
	return c
}

// newNode sets up the gateway of a number, with an address of its own, so that no
// connection of the fleet takes the port of a gateway that is down.
func (c *Cluster) newNode(i int, dir string) *Node {
	host := fmt.Sprintf("127.0.0.%d", i+2)
	n := &Node{t: c.t, Program: c.Program, Name: string(rune('a' + i)), dir: dir, roots: c.authority.Pool()}
	if c.Front != nil {
		host = fmt.Sprintf("127.0.2.%d", i+2)
		n.HTTPS, n.Link = net.JoinHostPort(host, c.Front.https), net.JoinHostPort(host, c.Front.link)
	} else {
		n.HTTPS, n.Link = freePort(c.t, host), freePort(c.t, host)
	}
	c.check(os.MkdirAll(n.dir, 0o700))
	c.configure(n, c.authority.Server(c.t, host, frontHost))
	return n
}

func (c *Cluster) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Error(err)
	}
}

// freePort returns an address at which nobody listens.
func freePort(t testing.TB, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the gateway takes the port
	return l.Addr().String()
}

// listen returns what else the gateway listens at.
func (c *Cluster) listen(n *Node) string {
	if c.Front == nil {
		return `health: "off"`
	}
	host, _, _ := net.SplitHostPort(n.HTTPS)
	return fmt.Sprintf("mqtt: %q, health: %q, proxy: [%s]", net.JoinHostPort(host, c.Front.mqtt), net.JoinHostPort(host, c.Front.health), frontHost)
}

// configure writes the gateway's configuration and certificate.
func (c *Cluster) configure(n *Node, certificate tls.Certificate) {
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		c.t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "data: %s\nlog: {level: warn}\n", n.data())
	fmt.Fprintf(&b, "listen: {https: %q, link: %q, %s}\n", n.HTTPS, n.Link, c.listen(n))
	fmt.Fprintf(&b, "tls: {cert: %s, key: %s}\n", filepath.Join(n.dir, "cert.pem"), filepath.Join(n.dir, "key.pem"))
	fmt.Fprintf(&b, "sinks:\n  - {name: central, record: true, timeout: 10s, postgres: {server: \"postgres://127.0.0.1:%s/postgres\", user: postgres}}\n", c.Database.Port)
	b.WriteString("sources:\n")
	for i := range c.Options.Slaves {
		if i == 0 {
			b.WriteString("  - name: leased\n    modbus:\n      lines:\n")
		}
		if i == c.Slaves.leased() {
			b.WriteString("  - name: shared\n    lease: false\n    modbus:\n      lines:\n")
		}
		fmt.Fprintf(&b, "        - name: line-%d\n          tcp: %s\n          devices:\n", i+1, c.Slaves.Address(i))
		fmt.Fprintf(&b, "            - {controller: %s, unit: 1, groups: [{every: %v, points: [{name: reads, at: holding 0}]}]}\n", c.Slaves.Name(i), c.Every)
	}
	for name, text := range map[string][]byte{
		"penstock.yaml": b.Bytes(),
		"cert.pem":      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		"key.pem":       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(filepath.Join(n.dir, name), text, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}
