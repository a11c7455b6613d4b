package cli

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

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

func newVersion(env shell.Env) *cobra.Command {
	var deps, asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what the program was built from",
		Long: `Print the version, and what the program was built from. All of it is read from
the binary itself.`,
		Example: "  penstock version\n  penstock version --deps",
		Args:    shell.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				info = &debug.BuildInfo{}
			}
			b := buildOf(env.Version, info)
			if !deps {
				b.Modules = nil
			}
			if asJSON {
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
		},
	}
	cmd.Flags().BoolVar(&deps, "deps", false, "list the modules that it was built from, with their checksums")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
