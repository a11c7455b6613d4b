// Command packaging makes a package of Debian from a tree of files:
//
//	packaging -tree DIR -arch amd64 -version 0.1.0 -scripts DIR -time UNIX -o FILE
//
// It is a module of its own, so that what it needs is no part of Penstock.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("packaging", flag.ContinueOnError)
	tree := flags.String("tree", "", "directory with the files as they are installed")
	arch := flags.String("arch", "amd64", "architecture as Debian names it")
	version := flags.String("version", "", "version of the package")
	scripts := flags.String("scripts", "", "directory with postinst, prerm and postrm")
	seconds := flags.Int64("time", 0, "time of all files, in seconds since 1970")
	out := flags.String("o", "", "file of the package")
	if err := flags.Parse(args); err != nil {
		return err
	}
	made := time.Unix(*seconds, 0).UTC()
	contents, err := contentsOf(*tree, made)
	if err != nil {
		return err
	}
	script := func(name string) string { return filepath.Join(*scripts, name) }
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "penstock", Arch: *arch, Platform: "linux", Version: *version, Section: "net", Priority: "optional",
		Maintainer: "The Penstock authors <penstock@localhost>", MTime: made, License: "Apache-2.0",
		Description: "Takes readings from controllers, makes them durable, delivers each exactly once\n" +
			"A gateway between logic controllers on energy grids and water networks and\n" +
			"the systems that use their readings. One static program with everything in it.",
		Overridables: nfpm.Overridables{
			Contents:   contents,
			Recommends: []string{"systemd"},
			Suggests:   []string{"nftables", "chrony | time-daemon"},
			Scripts:    nfpm.Scripts{PostInstall: script("postinst"), PreRemove: script("prerm"), PostRemove: script("postrm")},
		},
	})
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return err
	}
	f, err := os.Create(*out)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := (&deb.Deb{}).Package(info, f); err != nil {
		return err
	}
	return f.Close()
}

// contentsOf lists the tree. What lies below /etc is the operator's: Debian keeps
// changes of it.
func contentsOf(tree string, made time.Time) (files.Contents, error) {
	var contents files.Contents
	err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == tree {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name := "/" + strings.TrimPrefix(strings.TrimPrefix(path, tree), "/")
		c := &files.Content{Source: path, Destination: name, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: info.Mode().Perm(), MTime: made}}
		switch {
		case entry.IsDir():
			if !strings.HasPrefix(name, "/usr/lib/penstock") && !strings.HasPrefix(name, "/etc/penstock") {
				return nil // a directory of every machine
			}
			c.Type, c.Source = files.TypeDir, ""
		case strings.HasPrefix(name, "/etc/"):
			c.Type = files.TypeConfig
		}
		contents = append(contents, c)
		return nil
	})
	return contents, err
}
