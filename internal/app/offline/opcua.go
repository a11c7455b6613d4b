package offline

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/opcua/scan"
	"github.com/penstock/penstock/internal/source/opcua/session"
)

// OPCUAScan says what to look for at an OPC UA server.
type OPCUAScan struct {
	Endpoint            string
	Policy, Mode, Trust string // as in the configuration; without trust the certificate is believed as it is shown
	PlainText           bool
	User, PasswordFile  string
	Root                string // node id below which is looked
	Depth, Max          int    // levels, and variables that are kept
	Timeout             time.Duration
	Data                string    // data directory, for the certificate to show
	Out                 io.Writer // where the configuration goes
}

// Run writes what it finds as configuration. Its error has code
// [penstock.NotFound] when there is nothing.
func (o OPCUAScan) Run(ctx context.Context) error {
	s := session.Settings{
		Endpoint: o.Endpoint, User: o.User, Timeout: o.Timeout,
		Security: session.Security{Policy: o.Policy, Mode: o.Mode, Trust: o.Trust, PlainText: o.PlainText},
	}
	if o.PasswordFile != "" {
		text, err := os.ReadFile(o.PasswordFile)
		if err != nil {
			return penstock.Errorf(penstock.Invalid, "the password: %w", err)
		}
		s.Password = config.NewSecret(strings.TrimRight(string(text), "\r\n"))
	}
	found, err := scan.Run(ctx, scan.Options{Session: s, Root: o.Root, Depth: o.Depth, Max: o.Max}, source.Env{
		Name: "scan", Evidence: evidence.NewBook(time.Now), Files: filepath.Join(o.Data, "sources"), Log: slog.New(slog.DiscardHandler),
		Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		return err
	}
	return found.Write(o.Out, o.PasswordFile)
}
