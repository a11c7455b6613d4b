package docs_test

import (
	"testing"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/testkit"
)

const aboutConfiguration = `# Configuration

Generated from the program; a test holds it to that. A gateway needs no
configuration: what is not set has its default.

## Where a value comes from

From weak to strong: the default; the file of ` + "`-c`, in YAML; a file `.env`" + ` beside it
with lines ` + "`NAME=value`" + `; the environment; ` + "`--set KEY=VALUE`; `--data`" + `. Sections and maps
merge key by key; lists and single values are replaced whole. An empty variable
counts as not set.

An unknown key, a key given twice or a value of the wrong type is an error that
names file, line and column. ` + "`penstock check`" + ` reports all of them at once,
` + "`penstock check --print`" + ` shows every value with its origin, and
` + "`penstock check --schema`" + ` prints a JSON Schema for editors.

## How values are written

| value | written |
|---|---|
| size | a number of bytes with a unit: ` + "`64MiB`, `1.5GB`, `512`" + ` |
| duration | ` + "`500ms`, `10s`, `1h30m`, `3d`, `2w`" + ` |
| address | ` + "`host:port`, `:port` for all interfaces, port 0 for any free one, or `off`" + ` |
| secret | the text itself, or ` + "`file:PATH`" + `, relative to the configuration; never shown |

## Keys

`

// TestConfigurationReference holds configuration.md to the program.
func TestConfigurationReference(t *testing.T) {
	c := settings.Default()
	testkit.Golden(t, "../configuration.md", []byte(aboutConfiguration+string(config.Reference(&c))))
}
