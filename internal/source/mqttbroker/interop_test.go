package mqttbroker_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// pahoDiffers are the tests of the suite that do not pass here, and why.
var pahoDiffers = map[string]string{
	"client_test.Test.test_subscribe_failure":   "wants a topic that is forbidden for everybody",
	"client_test5.Test.test_subscribe_failure":  "wants a topic that is forbidden for everybody",
	"client_test5.Test.test_dollar_topics":      "publishes under $",
	"client_test5.Test.test_server_topic_alias": "wants the server to use aliases",
	"client_test5.Test.test_server_keep_alive":  "wants the server to insist on a keep alive of 60 s",
	"client_test5.Test.test_flow_control2":      "does not read why its connection was closed",
}

// TestInteroperability runs the tests of the Eclipse Paho project's suite
// (github.com/eclipse-paho/paho.mqtt.testing), each by itself, when PENSTOCK_PAHO names
// its folder interoperability. Those that fail are in docs/protocols/mqtt.md.
func TestInteroperability(t *testing.T) {
	suite := os.Getenv("PENSTOCK_PAHO")
	if suite == "" {
		t.Log("PENSTOCK_PAHO does not say where the suite is")
		return
	}
	st := newStand(t, options{})
	python := func(patience time.Duration, arguments ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		command := exec.CommandContext(ctx, "python3", append([]string{"-u", "-c", pahoRunner, st.address}, arguments...)...)
		command.Dir = suite
		out, err := command.CombinedOutput()
		return string(out), err
	}
	for _, script := range []string{"client_test", "client_test5"} {
		list, err := python(time.Minute, script)
		if err != nil || list == "" {
			t.Fatalf("%v: %s", err, list)
		}
		for name := range strings.Lines(list) {
			name = strings.TrimSpace(name)
			t.Run(name, func(t *testing.T) {
				why, differs := pahoDiffers[name]
				out, err := python(2*time.Minute, script, name)
				for again := 0; again < 2 && err != nil && !differs; again++ {
					t.Logf("it is tried again, since the suite waits by the clock: %v: %s", err, out)
					out, err = python(2*time.Minute, script, name)
				}
				switch {
				case differs && err != nil:
					t.Logf("as is known, it %s: %v: %s", why, err, out)
				case differs:
					t.Errorf("it passes, although it %s", why)
				case err != nil:
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}

// pahoRunner sets what the suite's own command line would, and prints the tests of a
// script or runs one.
const pahoRunner = `
import importlib, logging, sys, unittest
address, script = sys.argv[1:3]
m = importlib.import_module(script)
m.host, m.port = address.split(":")[0], int(address.split(":")[1])
prefix = "client_test5/" if script.endswith("5") else ""
m.topic_prefix = prefix
m.topics = [prefix + t for t in ["TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA"]]
m.wildtopics = [prefix + t for t in ["TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#"]]
m.nosubscribe_topics = ("test/nosubscribe",)
logging.getLogger().setLevel(logging.ERROR)
if len(sys.argv) == 3:
    for t in unittest.defaultTestLoader.loadTestsFromTestCase(m.Test):
        print(t.id())
else:
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromName(sys.argv[3]))
    sys.exit(0 if result.testsRun == 1 and result.wasSuccessful() else 1)
`
