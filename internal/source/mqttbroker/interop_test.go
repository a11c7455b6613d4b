package mqttbroker_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestInteroperability runs one of the Eclipse Paho project's suites
// (github.com/eclipse-paho/paho.mqtt.testing) when PENSTOCK_PAHO names its folder
// interoperability. What it finds is in docs/protocols/mqtt.md.
func TestInteroperability(t *testing.T) {
	suite := os.Getenv("PENSTOCK_PAHO")
	if suite == "" {
		t.Log("PENSTOCK_PAHO does not say where the suite is")
		return
	}
	st := newStand(t, options{})
	for _, script := range []string{"client_test", "client_test5"} {
		t.Run(script, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), "python3", "-u", "-c", pahoRunner, script, st.address)
			command.Dir = suite
			out, err := command.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// pahoRunner sets what the suite's own command line would.
const pahoRunner = `
import importlib, logging, sys, unittest
name, address = sys.argv[1:]
m = importlib.import_module(name)
m.host, m.port = address.split(":")[0], int(address.split(":")[1])
prefix = "client_test5/" if name.endswith("5") else ""
m.topic_prefix = prefix
m.topics = [prefix + t for t in ["TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA"]]
m.wildtopics = [prefix + t for t in ["TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#"]]
m.nosubscribe_topics = ("test/nosubscribe",)
logging.getLogger().setLevel(logging.ERROR)
ok = unittest.main(module=m, argv=[name, "-v"], exit=False).result.wasSuccessful()
sys.exit(0 if ok else 1)
`
