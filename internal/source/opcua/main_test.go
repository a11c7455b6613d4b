package opcua_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/apart"
	"github.com/penstock/penstock/internal/source/opcua"
	"github.com/penstock/penstock/internal/testkit"
)

// childWord is the argument with which this test binary serves a source apart, and
// apartVariable the variable with which its tests have theirs served so.
const (
	childWord     = "serve-a-source"
	apartVariable = "PENSTOCK_TEST_APART"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childWord {
		if err := apart.Serve(context.Background(), makeSource); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's pause of a second at the end of each process
	testkit.Main(m)
}

func makeSource(text []byte) (func(source.Env) (penstock.Source, error), error) {
	var c opcua.Config
	err := config.Receive(text, &c)
	return func(env source.Env) (penstock.Source, error) { return opcua.New(c, env) }, err
}

// newSource returns a source in this process, or apart when the tests run so.
func newSource(c opcua.Config, env source.Env) (penstock.Source, error) {
	if os.Getenv(apartVariable) == "" {
		return opcua.New(c, env)
	}
	return newApart(c, env)
}

func newApart(c opcua.Config, env source.Env) (penstock.Source, error) {
	text, err := config.Carry(&c)
	if err != nil {
		return nil, err
	}
	return apart.New(apart.Options{Args: []string{childWord}, Config: text}, env)
}

// What holds for the source holds for one apart. Left out are tests that look at
// what Run returns: apart a failure is told by the status, and the source runs on.
func TestApart(t *testing.T) {
	if os.Getenv(apartVariable) != "" {
		return // these are those tests
	}
	held := []string{
		"TestConformance", "TestAMissingMessageIsAskedForAgain", "TestAKeepaliveTellsOfAMissingMessage", "TestALostMessageIsAGapAndAllIsReadAnew",
		"TestALostConnectionLosesNothing", "TestAForgottenSubscriptionIsMadeAnewAndCounted", "TestTheEndOfASubscriptionIsToldAndSurvived",
		"TestStatusAndTimesAreKept", "TestNodesThatAreNotWatchedAreTold", "TestTheUserIsShown",
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^("+strings.Join(held, "|")+")$", "-test.v")
	cmd.Env = append(os.Environ(), apartVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range held {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not run:\n%s", name, out)
		}
	}
}
