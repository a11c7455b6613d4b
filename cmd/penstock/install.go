package main

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock/internal/app/checkup"
	"github.com/penstock/penstock/internal/cli/setup"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/install"
	"github.com/penstock/penstock/internal/keyring"
)

// installable is what an installation needs to know of the gateway.
func installable() *setup.Gateway {
	return &setup.Gateway{Listeners: listenersOf, Key: func(dir string) error { return keyring.Prepare(vfs.Default, dir, rand.Reader) }}
}

// listenersOf returns the listeners of a configuration that need not be there.
func listenersOf(file string) ([]install.Listener, error) {
	c := defaults()
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		if _, err := config.Load(c, config.Sources{File: file}); err != nil {
			return nil, err
		}
	}
	var list []install.Listener
	for _, l := range checkup.Subject(c).Listeners {
		list = append(list, install.Listener{Name: strings.TrimPrefix(l.Key, "listen."), Network: l.Network, Address: l.Address})
	}
	return list, nil
}
