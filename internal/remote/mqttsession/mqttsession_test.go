package mqttsession_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"

	"github.com/penstock/penstock/internal/remote/mqttsession"
	"github.com/penstock/penstock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// wire is what was sent to the broker.
type wire struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func (w *wire) sent() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.b.Bytes())
}

// begin connects a session and publishes one message with QoS 2.
func begin(t testing.TB, s session.SessionManager) (to *wire, received *packets.ControlPacket) {
	t.Helper()
	to = &wire{}
	if err := s.ConAckReceived(to, &packets.Connect{CleanStart: true}, &packets.Connack{}); err != nil {
		t.Fatal(err)
	}
	publish := &packets.Publish{Topic: "a", QoS: 2, Properties: &packets.Properties{}}
	if err := s.AddToSession(t.Context(), publish, make(chan packets.ControlPacket, 1)); err != nil {
		t.Fatal(err)
	}
	received = packets.NewControlPacket(packets.PUBREC)
	received.Content.(*packets.Pubrec).PacketID = publish.PacketID
	return to, received
}

func TestPubrecIsAnswered(t *testing.T) {
	s := mqttsession.New()
	to, received := begin(t, s)
	if err := s.PacketReceived(received, nil); err != nil {
		t.Fatal(err)
	}
	if b := to.sent(); len(b) == 0 || b[0]>>4 != packets.PUBREL {
		t.Errorf("the answer is %x", b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// However a connection ends, what comes behind its end is not answered.
func TestPubrecBehindTheEnd(t *testing.T) {
	for name, end := range map[string]func(session.SessionManager) error{
		"lost":    func(s session.SessionManager) error { return s.ConnectionLost(nil) },
		"refused": func(s session.SessionManager) error { return s.ConnectionLost(&packets.Disconnect{}) },
		"closed":  func(s session.SessionManager) error { return s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := mqttsession.New()
			to, received := begin(t, s)
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			if err := s.PacketReceived(received, nil); err != nil || len(to.sent()) > 0 {
				t.Errorf("%v: %x was sent", err, to.sent())
			}
			_, received = begin(t, s) // the next connection
			if err := s.PacketReceived(received, nil); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The end of the connection may come at any moment of an answer.
func TestPubrecWhileItEnds(t *testing.T) {
	for range 200 {
		s := mqttsession.New()
		_, received := begin(t, s)
		var work sync.WaitGroup
		work.Go(func() {
			for range 10 {
				if err := s.PacketReceived(received, nil); err != nil {
					t.Error(err)
				}
			}
		})
		if err := s.ConnectionLost(nil); err != nil {
			t.Error(err)
		}
		work.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// When this fails, the library has been mended and this package has had its day.
func TestTheLibraryNeedsIt(t *testing.T) {
	s := state.NewInMemory()
	_, received := begin(t, s)
	if err := s.ConnectionLost(nil); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("the library takes a PUBREC behind the end of the connection by itself")
		}
	}()
	_ = s.PacketReceived(received, nil)
}
