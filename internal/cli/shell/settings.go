package shell

import (
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/config"
)

// Settings holds the flags that make up a configuration.
type Settings struct {
	File string
	data string
	set  []string
}

// Register adds the flags.
func (s *Settings) Register(flags *pflag.FlagSet) {
	flags.StringVarP(&s.File, "config", "c", "", "configuration `FILE` in YAML; a file .env beside it is read too ($"+EnvConfig+")")
	flags.StringVar(&s.data, "data", "", "data `DIR`, in place of the key data")
	flags.StringArrayVar(&s.set, "set", nil, "set a key, as in `KEY=VALUE`: listen.https=:8443; the value is YAML; may be repeated")
}

// Sources returns the places from which the configuration comes. --data is the
// strongest.
func (s *Settings) Sources(env Env) config.Sources {
	from := config.Sources{
		File: First(s.File, env.Getenv(EnvConfig)), Environ: env.Environ, Set: s.set, Reserved: ReservedVariables,
	}
	if from.File != "" {
		from.DotEnv = filepath.Join(filepath.Dir(from.File), ".env")
	}
	if s.data != "" {
		from.Set = append(from.Set, "data="+s.data)
	}
	return from
}

// Silent tells whether nothing says where the configuration or the data is.
func (s *Settings) Silent(env Env) bool {
	return First(s.File, env.Getenv(EnvConfig), s.data, env.Getenv(EnvData)) == ""
}
