package mqttclient_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/mqttclient"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/rabbitmq"
	"github.com/penstock/penstock/internal/topic"
)

// A RabbitMQ before 3.13 speaks 3.1.1 and nothing else: it is found out, and keeps what
// was published while the gateway, and then it itself, was away.
func TestABrokerOf311(t *testing.T) {
	t.Parallel()
	r := rabbitmq.StartMQTT(t)
	b := newTap(t, r.MQTT)
	publish := func(from, to int) {
		t.Helper()
		host, port, _ := net.SplitHostPort(r.MQTT)
		testkit.Eventually(t, func() bool { // its listener for MQTT comes after the others
			cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "mosquitto_pub", "-h", host, "-p", port, "-V", "mqttv311", "-u", "guest", "-P", "guest",
				"-q", "1", "-t", "plant/a/report", "-l")
			cmd.Stdin = strings.NewReader(strings.Join(lines(t, from, to), "\n") + "\n")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Logf("mosquitto_pub: %v: %s", err, out)
			}
			return err == nil
		}, fmt.Sprintf("the reports %d to %d at the broker", from, to))
	}
	publish(1, 1) // nobody subscribes yet
	c := mqttclient.Config{
		Server: "mqtt://" + b.address(), User: "guest", Password: config.NewSecret("guest"),
		Controllers: []string{"*"}, Topics: []topic.Route{{Topic: "plant/+/report"}},
	}
	newest := c
	newest.Version = mqttclient.Version5
	refused := begin(t, newest)
	testkit.Eventually(t, func() bool { return refused.log.told("does not speak MQTT 5") }, "the refusal of MQTT 5")

	s := run(t, c)
	publish(1, 100)
	s.want(t, 100)
	b.swallow(true) // accepted, and the acknowledgement is lost with its connection
	publish(101, 150)
	testkit.Eventually(t, func() bool { return s.counted(evidence.Lost) > 0 }, "the loss of the connection")
	r.Kill()
	before := s.counted(evidence.Connected)
	b.swallow(false)
	r.Begin(t)
	publish(151, 200)
	// A broker that takes long to start is asked less and less often: a pause has up to a
	// minute by then.
	for range 3 {
		if testkit.Within(func() bool { return s.counted(evidence.Connected) > before }) {
			s.want(t, 200)
			return
		}
	}
	t.Fatalf("the source did not come back: %q", s.log.all())
}
