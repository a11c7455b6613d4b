package apart_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/penstock/penstock/internal/source/apart"
	"github.com/penstock/penstock/internal/testkit"
)

// childWord is the argument with which this test binary serves a source.
const childWord = "serve-a-source"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childWord {
		if err := apart.Serve(context.Background(), makeLines); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's pause of a second at the end of each process
	testkit.Main(m)
}
