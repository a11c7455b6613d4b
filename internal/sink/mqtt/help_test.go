package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/mqtt"
	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/link"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func open(t testing.TB, c mqtt.Config) *mqtt.Sink {
	t.Helper()
	return openIn(t, c, t.TempDir())
}

// openIn returns a sink that keeps its files in a directory.
func openIn(t testing.TB, c mqtt.Config, files string) *mqtt.Sink {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := mqtt.New(c, sink.Env{Name: "broker", Log: slog.New(slog.DiscardHandler), Now: time.Now, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// subscriber keeps everything that a broker delivers, in a session that outlives its
// connections.
type subscriber struct {
	address string
	work    sync.WaitGroup

	mu   sync.Mutex // guards what follows
	all  []*paho.Publish
	live *paho.Client // nil while it is not connected
}

func subscribe(t testing.TB, address string) *subscriber {
	t.Helper()
	s := &subscriber{address: address}
	ctx, cancel := context.WithCancel(context.Background())
	s.work.Go(func() {
		for ctx.Err() == nil {
			if s.run(ctx) != nil {
				<-time.After(20 * time.Millisecond)
			}
		}
	})
	t.Cleanup(func() { cancel(); s.work.Wait() })
	testkit.Eventually(t, func() bool { return s.client() != nil }, "the subscription")
	return s
}

func (s *subscriber) client() *paho.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

func (s *subscriber) connected(c *paho.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = c
}

func (s *subscriber) run(ctx context.Context) error {
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		return err
	}
	c := paho.NewClient(paho.ClientConfig{
		Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.all = append(s.all, p.Packet)
			return true, nil
		}},
		OnClientError: func(error) {}, OnServerDisconnect: func(*paho.Disconnect) {},
	})
	expiry := uint32(3600)
	_, err = c.Connect(ctx, &paho.Connect{ClientID: "subscriber", KeepAlive: 30, Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry}})
	if err != nil {
		return err
	}
	defer func() { <-c.Done() }()
	defer func() { _ = c.Disconnect(&paho.Disconnect{}) }()
	if _, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "#", QoS: 2, RetainAsPublished: true}}}); err != nil {
		return err
	}
	s.connected(c)
	defer s.connected(nil)
	select {
	case <-ctx.Done():
	case <-c.Done():
	}
	return nil
}

// received returns all that was published before.
func (s *subscriber) received(t testing.TB) []*paho.Publish {
	t.Helper()
	mark := []byte(fmt.Sprint("mark ", time.Now().UnixNano()))
	testkit.Eventually(t, func() bool {
		c := s.client()
		if c == nil {
			return false
		}
		_, err := c.Publish(t.Context(), &paho.Publish{Topic: "mark", QoS: 1, Payload: mark})
		return err == nil
	}, "a mark published")
	marked := func(p *paho.Publish) bool { return p.Topic == "mark" }
	testkit.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.ContainsFunc(s.all, func(p *paho.Publish) bool { return string(p.Payload) == string(mark) })
	}, "the mark")
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.all), marked)
}

// decode returns the report of a message.
func decode(t testing.TB, p *paho.Publish) *penstock.Report {
	t.Helper()
	if p.Properties.ContentType == link.MediaType {
		var decoder link.Decoder
		r := &penstock.Report{}
		if _, err := decoder.Decode(p.Payload, r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	var decoder reportjson.Decoder
	rs, err := decoder.Decode(p.Payload, nil)
	if err != nil || len(rs) != 1 {
		t.Fatalf("%s: %v", p.Payload, err)
	}
	return &rs[0]
}

func report(controller string, seq uint64) *penstock.Report {
	at := int64(1795327200e9) + int64(seq)*1e9
	return &penstock.Report{
		Controller: controller, Identity: penstock.SequenceIdentity(1, seq), Source: "test", ReceivedTime: at, AcceptedTime: at,
		Samples: []penstock.Sample{{Point: "flow", SourceTime: at, Value: penstock.FloatValue(float64(seq) / 8)}},
	}
}

func reports(controller string, first, last uint64) (rs []*penstock.Report) {
	for seq := first; seq <= last; seq++ {
		rs = append(rs, report(controller, seq))
	}
	return rs
}

// untilWritten writes as the runner does: again what failed, until it went well. It
// returns how often it failed.
func untilWritten(ctx context.Context, s penstock.Sink, rs []*penstock.Report) (failures int, err error) {
	for end := time.Now().Add(time.Minute); ; failures++ {
		within, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := s.Write(within, rs)
		cancel()
		if err == nil {
			return failures, nil
		}
		var each *penstock.WriteError
		if errors.As(err, &each) {
			var left []*penstock.Report
			for i, r := range rs {
				if each.Failed[i] != nil {
					left = append(left, r)
				}
			}
			rs = left
		} else if !penstock.CodeOf(err).Temporary() {
			return failures, err
		}
		if time.Now().After(end) {
			return failures, fmt.Errorf("it does not come back: %w", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// failedWith returns the error of the report at an index.
func failedWith(t testing.TB, err error, i int) error {
	t.Helper()
	var each *penstock.WriteError
	if !errors.As(err, &each) || each.Failed[i] == nil {
		t.Fatalf("report %d has not failed: %v", i, err)
	}
	return each.Failed[i]
}
