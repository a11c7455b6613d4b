package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/sink/postgres"
)

func TestValidate(t *testing.T) {
	good := postgres.Config{Server: "postgres://db.example:5433/metering", User: "penstock"}
	for _, c := range []struct {
		change func(*postgres.Config)
		says   string // empty: it holds
	}{
		{func(*postgres.Config) {}, ""},
		{func(c *postgres.Config) { c.Server = "postgresql://a.example,b.example:5433/metering" }, ""},
		{func(c *postgres.Config) { c.Server = "postgres:///metering" }, ""},
		{func(c *postgres.Config) { c.Server = "postgres://[::1]:5433/metering" }, ""},
		{func(c *postgres.Config) { c.Server = "db.example" }, "postgres://host"},
		{func(c *postgres.Config) { c.Server = "mysql://db.example/metering" }, "postgres://host"},
		{func(c *postgres.Config) { c.Server = "postgres://db.example" }, "name of a database"},
		{func(c *postgres.Config) { c.Server = "postgres://db.example/metering?sslmode=disable" }, "name of a database"},
		{func(c *postgres.Config) { c.Server = "postgres://me:secret@db.example/metering" }, "keys of their own"},
		{func(c *postgres.Config) { c.Server = "postgres://db.example:70000/metering" }, "no host with a port"},
		{func(c *postgres.Config) { c.Server = "postgres://a.example,/metering" }, "no host with a port"},
		{func(c *postgres.Config) { c.User = "" }, "user:"},
		{func(c *postgres.Config) { c.Schema = "pg_mine" }, "pg_"},
		{func(c *postgres.Config) { c.Schema = strings.Repeat("x", 64) }, "63 bytes"},
		{func(c *postgres.Config) { c.Schema = "a\nb" }, "control"},
		{func(c *postgres.Config) { c.Partition = "year" }, "partition:"},
		{func(c *postgres.Config) { c.Retention = config.Duration(time.Hour) }, "retention:"},
	} {
		changed := good
		c.change(&changed)
		err := changed.Validate()
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%+v: %v", changed, err)
		case c.says != "" && (penstock.CodeOf(err) != penstock.Invalid || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%+v: %v, want an error that says %q", changed, err, c.says)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("the error tells a password: %v", err)
		}
	}
}
