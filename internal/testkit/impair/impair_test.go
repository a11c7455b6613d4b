package impair_test

import (
	"bytes"
	"io"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testkit"
	"github.com/penstock/penstock/internal/testkit/impair"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// listen returns a socket for datagrams.
func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestLabelsSayWhatArrived sends numbered datagrams and holds what arrives
// against what the way says it did.
func TestLabelsSayWhatArrived(t *testing.T) {
	server, client := listen(t), listen(t)
	way, err := impair.NewUDP(server.LocalAddr().String(), impair.Profile{
		Loss: 0.3, Duplicate: 0.1, Reorder: 0.1, Corrupt: 0.05, Delay: time.Millisecond, Seed: 7,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer way.Close()
	to, err := net.ResolveUDPAddr("udp", way.Addr())
	if err != nil {
		t.Fatal(err)
	}
	const sent = 1000
	var arrived struct {
		sync.Mutex
		whole, damaged int
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 100)
		for {
			size, err := server.Read(buf)
			if err != nil {
				return
			}
			arrived.Lock()
			if size == 40 && bytes.Count(buf[:size], buf[:1]) == size {
				arrived.whole++
			} else {
				arrived.damaged++
			}
			arrived.Unlock()
		}
	})
	for i := range sent {
		packet := bytes.Repeat([]byte{byte(i)}, 40)
		if _, err := client.WriteToUDP(packet, to); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() bool { up, _ := way.Counts(); return up.Packets == uint64(i)+1 }, "the packet")
	}
	up, _ := way.Counts()
	testkit.Eventually(t, func() bool {
		arrived.Lock()
		defer arrived.Unlock()
		return arrived.whole+arrived.damaged == int(sent-up.Lost+up.Duplicated)
	}, "as many packets as were said to pass")
	server.Close()
	reading.Wait()
	damaged := arrived.damaged
	near := func(what string, got uint64, want float64) {
		if math.Abs(float64(got)-want) > want/2+5 {
			t.Errorf("%d were %s, about %.0f should be", got, what, want)
		}
	}
	near("lost", up.Lost, 300)
	near("doubled", up.Duplicated, 70)
	near("reordered", up.Reordered, 77)
	near("corrupted", up.Corrupted, 38)
	if damaged > int(up.Corrupted) || damaged < int(up.Corrupted)*8/10 { // bits may flip back
		t.Errorf("%d arrived damaged, %d were said to be", damaged, up.Corrupted)
	}
}

func TestStreamFlipsBits(t *testing.T) {
	a, near := net.Pipe()
	far, b := net.Pipe()
	s := impair.NewStream(near, far, impair.Profile{BitErrors: 1e-3, Seed: 3})
	defer s.Close()
	const size = 100_000
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := a.Write(make([]byte, size)); err != nil {
			t.Error(err)
		}
	})
	got := make([]byte, size)
	if _, err := io.ReadFull(b, got); err != nil {
		t.Fatal(err)
	}
	writing.Wait()
	ones := uint64(0)
	for _, c := range got {
		for ; c > 0; c &= c - 1 {
			ones++
		}
	}
	up, _ := s.Counts()
	if ones != up.Flipped || ones < 600 || ones > 1000 {
		t.Errorf("%d bits are flipped, %d were said to be", ones, up.Flipped)
	}
}
