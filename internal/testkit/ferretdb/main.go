// Command ferretdb runs a FerretDB, which speaks MongoDB's wire protocol, for tests:
// on the address of the first argument, with its data in the directory of the second.
// With a third and fourth it speaks TLS, with the certificate and key in those files.
// It ends with SIGTERM, or when its standard input does.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	config := &ferretdb.Config{Logger: slog.New(slog.DiscardHandler), Handler: "sqlite"}
	switch len(args) {
	case 2:
		config.Listener.TCP = args[0]
	case 4:
		config.Listener.TLS, config.Listener.TLSCertFile, config.Listener.TLSKeyFile = args[0], args[2], args[3]
	default:
		return fmt.Errorf("usage: ferretdb ADDRESS DIRECTORY [CERTIFICATE KEY]")
	}
	config.SQLiteURL = "file:" + args[1] + "/"
	f, err := ferretdb.New(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return f.Run(ctx)
}
