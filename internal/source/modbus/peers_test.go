package modbus_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/serialport"
	"github.com/penstock/penstock/internal/source/modbus"
	"github.com/penstock/penstock/internal/source/modbus/modbustest"
	"github.com/penstock/penstock/internal/source/modbus/wire"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
)

// freePort returns the number of a TCP port that nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// start runs a program until the test ends; it has said "ready" when start
// returns.
func start(t *testing.T, environ []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), environ...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // which ends it
		late := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%s said %q: %v", name, line, err)
	}
}

// libmodbus returns the server that the C program is compiled to.
func libmodbus(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "server")
	out, err := exec.Command("gcc", "-O1", "-I/usr/include/modbus", "-o", binary, "testdata/peers/libmodbus/server.c", "-lmodbus", "-lpthread").CombinedOutput()
	if err != nil {
		t.Fatalf("the server of libmodbus cannot be built (make tools brings what it needs): %v\n%s", err, out)
	}
	return binary
}

// reads polls unit 7 on a line and wants its first report to hold the values.
func reads(t *testing.T, l modbus.Line, points []modbus.Point, want string) {
	t.Helper()
	l.Devices = []modbus.Device{{Controller: "peer", Unit: 7, Groups: []modbus.Group{{Every: 100 * time.Millisecond, Points: points}}}}
	book, desk := evidence.NewBook(time.Now), sourcetest.NewDesk(nil)
	s, err := modbus.New(modbus.Config{Lines: []modbus.Line{l}}, sourcetest.Env(book, &states{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.Run(ctx, desk); err != nil {
			t.Error(err)
		}
	})
	testkit.Eventually(t, func() bool { return len(desk.Accepted()) >= 3 }, "three reports of the peer")
	cancel()
	work.Wait()
	var got []string
	for _, s := range desk.Accepted()[1].Samples {
		got = append(got, s.Point+"="+s.Value.String())
	}
	if strings.Join(got, " ") != want {
		t.Errorf("read %q, want %q; on the port %v", got, want, book.Ports()[0].Counts)
	}
}

func peerPoints() []modbus.Point {
	float := point("f", "holding 100", modbus.F32)
	float.Order = modbus.CDAB
	return []modbus.Point{
		point("h", "holding 17", ""), point("far", "holding 300", ""), float, point("i", "input 5", ""),
		point("c", "coil 9", ""), point("d", "discrete 10", ""), point("n", "coil 10", ""),
	}
}

const peerValues = "h=17 far=300 f=-12.5 i=10005 c=true d=true n=false"

func TestLibmodbusOverTCP(t *testing.T) {
	port := freePort(t)
	start(t, nil, libmodbus(t), "tcp", port)
	reads(t, modbus.Line{TCP: "127.0.0.1:" + port}, peerPoints(), peerValues)
}

func TestLibmodbusOnASerialLine(t *testing.T) {
	near, far, _ := modbustest.Pair(t, t.TempDir())
	start(t, nil, libmodbus(t), "rtu", far)
	reads(t, modbus.Line{Serial: &serialport.Config{Device: near, Baud: 19200}}, peerPoints(), peerValues)
}

func TestModbusSerialOfNPM(t *testing.T) {
	const peer = "testdata/peers/modbus-serial"
	port := freePort(t)
	start(t, []string{"NODE_PATH=" + testkit.NPM(t, peer)}, "node", filepath.Join(peer, "server.js"), port)
	points := []modbus.Point{
		point("h", "holding 17", ""), point("illegal", "holding 500", ""), point("i", "input 5", ""),
		point("c", "coil 9", ""), point("d", "discrete 10", ""), point("n", "coil 10", ""),
	}
	reads(t, modbus.Line{TCP: "127.0.0.1:" + port}, points, "h=17 i=10005 c=true d=true n=false") // the illegal one was told before
}

// The simulated device of the tests is held to another's client, so that the
// other tests mean something.
func TestMbpollReadsTheSimulatedDevice(t *testing.T) {
	near, farDevice, _ := modbustest.Pair(t, t.TempDir())
	far, err := serialport.Open(serialport.Config{Device: farDevice})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	var devices sync.WaitGroup
	defer devices.Wait()
	defer far.Close()
	defer listener.Close()
	value := func(f wire.Function, a uint16) uint16 { return uint16(f)*1000 + a }
	answer := func(q wire.Request) modbustest.Answer { return modbustest.Registers(q, value) }
	devices.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			modbustest.ServeTCP(conn, answer)
			conn.Close()
		}
	})
	devices.Go(func() { modbustest.ServeRTU(far, answer) })
	for _, way := range [][]string{
		{"-m", "tcp", "-p", port, "127.0.0.1"},
		{"-m", "rtu", "-b", "9600", "-P", "none", near},
	} {
		for kind, want := range map[string]string{"4": "[21]: \t3020", "3": "[21]: \t4020", "1": "[21]: \t0"} {
			args := append([]string{"-a", "7", "-r", "20", "-c", "3", "-1", "-q", "-t", kind}, way...)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			out, err := exec.CommandContext(ctx, "mbpoll", args...).CombinedOutput()
			cancel()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("mbpoll %v: %v, without %q in\n%s", args, err, want, out)
			}
		}
	}
}

// An adapter that is unplugged is told once; plugged in again it is polled again.
func TestAnAdapterIsUnpluggedAndComesBack(t *testing.T) {
	dir := t.TempDir()
	var work sync.WaitGroup
	defer work.Wait()
	plug := func() (string, func()) {
		near, far, cut := modbustest.Pair(t, dir)
		port, err := serialport.Open(serialport.Config{Device: far})
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() { modbustest.ServeRTU(port, address) })
		return near, func() { cut(); port.Close() }
	}
	near, unplug := plug()
	l := modbus.Line{Serial: &serialport.Config{Device: near}, Devices: []modbus.Device{
		{Controller: "a", Unit: 1, Groups: []modbus.Group{{Every: 50 * time.Millisecond, Points: []modbus.Point{point("x", "holding 7", "")}}}},
	}}
	book, desk, status := evidence.NewBook(time.Now), sourcetest.NewDesk(nil), &states{}
	s, err := modbus.New(modbus.Config{Lines: []modbus.Line{l}}, sourcetest.Env(book, status, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	work.Go(func() {
		if err := s.Run(ctx, desk); err != nil {
			t.Error(err)
		}
	})
	count := func(kind penstock.Kind) (n int) {
		for _, r := range desk.Accepted() {
			if r.Samples[0].Value.Kind() == kind {
				n++
			}
		}
		return n
	}
	testkit.Eventually(t, func() bool { return count(penstock.Uint64) > 1 }, "values of the device")
	unplug()
	testkit.Eventually(t, func() bool { return count(penstock.None) > 0 }, "the word that the device is out of reach")
	before := count(penstock.Uint64)
	_, unplug = plug()
	defer unplug()
	testkit.Eventually(t, func() bool { return count(penstock.Uint64) > before+1 }, "values after the adapter came back")
	if n := count(penstock.None); n != 1 || status.last() != "ok" {
		t.Errorf("it was told %d times, and the source says %q", n, status.last())
	}
}

// A source that is stopped closes its lines itself: that is no line that broke.
func TestStoppingIsNoBreakdown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asked := make(chan struct{})
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { // a device that never answers
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 16)); err == nil {
			close(asked)
		}
		io.Copy(io.Discard, conn)
	})
	l := modbus.Line{TCP: listener.Addr().String(), Timeout: 10 * time.Second, Devices: []modbus.Device{
		{Controller: "a", Unit: 1, Groups: []modbus.Group{{Every: 50 * time.Millisecond, Points: []modbus.Point{point("x", "holding 7", "")}}}},
	}}
	book, status := evidence.NewBook(time.Now), &states{}
	s, err := modbus.New(modbus.Config{Lines: []modbus.Line{l}}, sourcetest.Env(book, status, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	work.Go(func() { <-asked; stop() })
	if err := s.Run(ctx, sourcetest.NewDesk(nil)); err != nil {
		t.Fatal(err)
	}
	if status.last() != "ok" {
		t.Errorf("the source says %q", status.last())
	}
	for _, port := range book.Ports() {
		if port.Counts[evidence.Lost] != 0 {
			t.Errorf("%s: counted as lost", port.Name)
		}
	}
}
