package cli

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock/penstock/internal/bom"
	"github.com/penstock/penstock/internal/cli/output"
	"github.com/penstock/penstock/internal/cli/shell"
)

// build is what the program knows about how it was built.
type build struct {
	Version  string   `json:"version"`
	Revision string   `json:"revision,omitempty"`
	Time     string   `json:"time,omitempty"`
	Modified bool     `json:"modified"`
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Modules  []module `json:"modules,omitempty"`
}

type module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum,omitempty"`
}

// buildOf reads what the compiler and the linker wrote into the program.
func buildOf(version string, info *debug.BuildInfo) build {
	b := build{Version: version, Go: info.GoVersion}
	system, arch := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		case "GOOS":
			system = s.Value
		case "GOARCH":
			arch = s.Value
		}
	}
	b.Platform = system + "/" + arch
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		b.Modules = append(b.Modules, module{dep.Path, dep.Version, dep.Sum})
	}
	return b
}

// String returns the build in one line.
func (b build) String() string {
	text := "penstock " + b.Version
	if b.Revision != "" {
		text += " (" + b.Revision[:min(12, len(b.Revision))]
		if b.Modified {
			text += ", modified"
		}
		text += ")"
	}
	return text + " " + b.Go + " " + b.Platform
}

// versionFlags say what is printed beside the version.
type versionFlags struct {
	deps, sbom, licences, asJSON bool
	vulns                        string
}

func newVersion(env shell.Env) *cobra.Command {
	var f versionFlags
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what the program was built from",
		Long: `Print the version, and what the program was built from. All of it is read from
the binary itself.

--vulns compares the modules with a copy of the Go vulnerability database: a
directory that holds its records (GO-2024-2687.json and so on). It uses no network
and says how old the copy is. It names a module whose version is affected; whether
the program calls the part that is, only an analysis of the source tells. It ends
with 6 when it names one.`,
		Example: `  penstock version
  penstock version --deps
  penstock version --sbom > penstock.cdx.json
  penstock version --vulns /srv/vulndb/data/osv`,
		Args: shell.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				info = &debug.BuildInfo{}
			}
			return f.print(env, info)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.deps, "deps", false, "list the modules that it was built from, with their checksums")
	flags.BoolVar(&f.sbom, "sbom", false, "print the bill of materials, CycloneDX 1.6 in JSON")
	flags.BoolVar(&f.licences, "licences", false, "print the licences of the modules, with their texts")
	flags.StringVar(&f.vulns, "vulns", "", "compare the modules with the vulnerability database in `DIR`")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("deps", "sbom", "licences", "vulns")
	cmd.MarkFlagsMutuallyExclusive("licences", "json")
	return cmd
}

func (f versionFlags) print(env shell.Env, info *debug.BuildInfo) error {
	switch {
	case f.sbom:
		text, err := bom.CycloneDX(info, env.Version)
		if err == nil {
			_, err = env.Stdout.Write(text)
		}
		return err
	case f.licences:
		_, err := io.WriteString(env.Stdout, bom.LicenceTexts())
		return err
	case f.vulns != "":
		return f.printVulnerable(env, info)
	}
	b := buildOf(env.Version, info)
	if !f.deps {
		b.Modules = nil
	}
	if f.asJSON {
		return output.JSON(env.Stdout, b)
	}
	if _, err := fmt.Fprintln(env.Stdout, b); err != nil {
		return err
	}
	for m := range slices.Values(b.Modules) {
		if _, err := fmt.Fprintln(env.Stdout, m.Path, m.Version, m.Sum); err != nil {
			return err
		}
	}
	return nil
}

// printVulnerable prints the modules that the database names.
func (f versionFlags) printVulnerable(env shell.Env, info *debug.BuildInfo) error {
	modules := bom.Modules(info)
	found, database, err := bom.Vulnerable(modules, os.DirFS(f.vulns))
	if err != nil {
		return fmt.Errorf("the vulnerability database %s: %w", f.vulns, err)
	}
	if f.asJSON {
		err = output.JSON(env.Stdout, struct {
			Database bom.Database        `json:"database"`
			Modules  int                 `json:"modules"`
			Found    []bom.Vulnerability `json:"found"`
		}{database, len(modules), append([]bom.Vulnerability{}, found...)})
	} else {
		err = writeVulnerable(env, found, database, len(modules))
	}
	if err == nil && len(found) > 0 {
		err = shell.Exit(shell.ExitDamaged, fmt.Errorf("%d known vulnerabilities", len(found)))
	}
	return err
}

func writeVulnerable(env shell.Env, found []bom.Vulnerability, d bom.Database, modules int) error {
	if len(found) > 0 {
		table := output.NewTable(env.Stdout, "ID", "MODULE", "VERSION", "FIXED", "SUMMARY")
		for _, v := range found {
			if err := table.Row(v.ID, v.Module, v.Version, shell.First(v.Fixed, "-"), v.Summary); err != nil {
				return err
			}
		}
		if err := table.End(); err != nil {
			return err
		}
	}
	age := "does not say of which day it is; the newest entry is " + d.Newest
	if !d.Date.IsZero() {
		age = fmt.Sprintf("is of %s, %d days ago", d.Date.UTC().Format(time.DateOnly), int(env.Now().Sub(d.Date).Hours()/24))
	}
	_, err := fmt.Fprintf(env.Stdout, "%d modules, %d of them affected; the database has %d entries and %s\n", modules, countModules(found), d.Entries, age)
	return err
}

func countModules(found []bom.Vulnerability) int {
	names := map[string]bool{}
	for _, v := range found {
		names[v.Module] = true
	}
	return len(names)
}
