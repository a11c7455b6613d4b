package wire_test

import (
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source/apart/wire"
)

func someText(t *rapid.T) string { return rapid.StringN(0, 20, 40).Draw(t, "text") }

func somePrincipal(t *rapid.T) *penstock.Principal {
	return &penstock.Principal{Credential: someText(t), Role: penstock.Role(someText(t)), Scope: rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "scope")}
}

// What is written is read.
func TestEnvelopesCross(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var outbox wire.Outbox
		inbox := wire.Inbox{Source: "line-3"}
		shared := somePrincipal(t)
		for range 3 {
			var sent []penstock.Envelope
			for range rapid.IntRange(1, 4).Draw(t, "envelopes") {
				e := penstock.Envelope{
					Source: "line-3", Peer: someText(t), Credential: penstock.Credential{Token: someText(t), User: someText(t)}, ContentType: someText(t),
					Key: someText(t), Checksum: rapid.Uint32().Draw(t, "sum"), HasChecksum: rapid.Bool().Draw(t, "has"), Topic: someText(t),
					Body: []byte(someText(t)), ReceivedTime: rapid.Int64().Draw(t, "time"),
					Principal: rapid.SampledFrom([]*penstock.Principal{nil, shared, somePrincipal(t)}).Draw(t, "who"),
				}
				if rapid.Bool().Draw(t, "with properties") {
					e.Properties = rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "properties")
				}
				if rapid.Bool().Draw(t, "refused") {
					e.Refusal = &penstock.Error{Code: penstock.TooLarge, Text: someText(t)}
				}
				sent = append(sent, e)
			}
			var o wire.Out
			outbox.Envelopes(&o, sent)
			in := wire.Read(o)
			if got := inbox.Envelopes(in); in.Err() != nil || !reflect.DeepEqual(got, sent) {
				t.Fatalf("%+v came, and %+v was sent: %v", got, sent, in.Err())
			}
		}
	})
}

// fill gives every field a value that is not zero, so that one that is new and does
// not cross is found.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Type != reflect.TypeFor[[]*x509.Certificate]() && v.Type().Field(i).Type != reflect.TypeFor[error]() {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("a"), reflect.ValueOf("b"))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(0.1)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	default:
		v.SetUint(5)
	}
}

func TestNoFieldIsForgotten(t *testing.T) {
	for _, c := range []struct {
		sent  any // a pointer to a zero value
		cross func(sent any, o *wire.Out) (read func(*wire.In) any)
	}{
		{new(penstock.Envelope), func(sent any, o *wire.Out) func(*wire.In) any {
			new(wire.Outbox).Envelopes(o, []penstock.Envelope{*sent.(*penstock.Envelope)})
			return func(i *wire.In) any { return &(&wire.Inbox{Source: "text"}).Envelopes(i)[0] }
		}},
		{new(penstock.Outcome), func(sent any, o *wire.Out) func(*wire.In) any {
			o.Outcomes([]penstock.Outcome{*sent.(*penstock.Outcome)})
			return func(i *wire.In) any { return &i.Outcomes()[0] }
		}},
		{new(evidence.Note), func(sent any, o *wire.Out) func(*wire.In) any {
			o.Note(*sent.(*evidence.Note))
			return func(i *wire.In) any { n := i.Note(); return &n }
		}},
		{new(wire.Task), func(sent any, o *wire.Out) func(*wire.In) any {
			o.Task(*sent.(*wire.Task))
			return func(i *wire.In) any { task := i.Task(); return &task }
		}},
	} {
		fill(reflect.ValueOf(c.sent).Elem())
		var o wire.Out
		read := c.cross(c.sent, &o)
		in := wire.Read(o)
		if got := read(in); in.Err() != nil || !reflect.DeepEqual(got, c.sent) {
			t.Errorf("%+v came, and %+v was sent: %v", got, c.sent, in.Err())
		}
	}
}

func TestOutcomesCross(t *testing.T) {
	sent := []penstock.Outcome{
		{Err: &penstock.Error{Code: penstock.Full, Text: "no room", RetryAfter: time.Second}},
		{Verdicts: []penstock.Verdict{
			{Controller: "pump-17", Identity: penstock.SequenceIdentity(3, 1<<53-1), Result: penstock.Accepted, Committed: penstock.Mark{Epoch: 3, Seq: 4}, Accepted: penstock.Mark{Epoch: 5, Seq: 6}},
			{Identity: penstock.KeyIdentity("k"), Result: penstock.Rejected, Reason: penstock.ReasonRange, Detail: "too much"},
		}},
		{},
	}
	var o wire.Out
	o.Outcomes(sent)
	in := wire.Read(o)
	if got := in.Outcomes(); in.Err() != nil || !reflect.DeepEqual(got, sent) {
		t.Errorf("%+v came: %v", got, in.Err())
	}
}

func TestRecordsCross(t *testing.T) {
	at := time.Unix(1_700_000_000, 5)
	sent := wire.Record{Time: at, Level: slog.LevelWarn, Text: "a word", Attrs: []slog.Attr{
		slog.Int("n", -3), slog.Uint64("u", 1<<63), slog.Float64("f", 0.1), slog.Bool("b", true), slog.Duration("d", time.Minute), slog.Time("t", at), slog.String("s", "x"),
	}}
	var o wire.Out
	o.Record(sent)
	in := wire.Read(o)
	got := in.Record()
	if in.Err() != nil || got.Text != sent.Text || got.Level != sent.Level || !got.Time.Equal(at) || len(got.Attrs) != len(sent.Attrs) {
		t.Fatalf("%+v came: %v", got, in.Err())
	}
	for i := range got.Attrs {
		if !got.Attrs[i].Equal(sent.Attrs[i]) {
			t.Errorf("%v came for %v", got.Attrs[i], sent.Attrs[i])
		}
	}
	o = nil
	o.Record(wire.Record{Attrs: []slog.Attr{slog.Any("error", errors.New("no"))}})
	if got := wire.Read(o).Record().Attrs[0].Value.String(); got != "no" {
		t.Errorf("an error came as %q", got)
	}
}

// Whatever comes, reading ends, and costs no more memory than what came.
func FuzzRead(f *testing.F) {
	var o wire.Out
	new(wire.Outbox).Envelopes(&o, []penstock.Envelope{{Body: []byte("x"), Properties: penstock.Properties{"a": "b"}, Principal: &penstock.Principal{Scope: penstock.Scope{"*"}}}})
	f.Add([]byte(o))
	o = nil
	o.Outcomes([]penstock.Outcome{{Verdicts: []penstock.Verdict{{Controller: "c"}}}})
	f.Add([]byte(o))
	o = nil
	o.Note(evidence.Note{Name: "p", Frame: []byte("f")})
	f.Add([]byte(o))
	o = nil
	o.Task(wire.Task{Name: "a", Config: []byte("{}")})
	f.Add([]byte(o))
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0x0F})
	f.Fuzz(func(t *testing.T, body []byte) {
		if es := new(wire.Inbox).Envelopes(wire.Read(body)); len(es) > len(body) {
			t.Errorf("%d envelopes of %d bytes", len(es), len(body))
		}
		if list := wire.Read(body).Outcomes(); len(list) > len(body) {
			t.Errorf("%d outcomes of %d bytes", len(list), len(body))
		}
		book := evidence.NewBook(time.Now)
		book.Note(wire.Read(body).Note())
		wire.Read(body).Record()
		wire.Read(body).Task()
		wire.Read(body).Credential()
	})
}

// ends returns both ends of a connection, at work until the test ends.
func ends(t *testing.T) (a, b *wire.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns []*wire.Conn
	var work sync.WaitGroup
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		conn := wire.New(c.(*net.UnixConn))
		conns = append(conns, conn)
		work.Go(conn.Run)
	}
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
		work.Wait()
	})
	return conns[0], conns[1]
}

// Frames come whole and in order, each with its file, also when one end is slow.
func TestFramesAndFilesKeepTheirOrder(t *testing.T) {
	a, b := ends(t)
	const frames = 200
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		for i := range frames {
			var file *os.File
			if i%3 == 0 {
				r, w, err := os.Pipe()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = w.Write([]byte{byte(i)})
				w.Close()
				file = r
			}
			body := make([]byte, i*100)
			for k := range body {
				body[k] = byte(i)
			}
			if err := a.SendFile(wire.Answer, body, file); err != nil {
				t.Error(err)
			}
		}
		a.Finish()
	})
	for i := range frames {
		f, err := b.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind != wire.Answer || len(f.Body) != i*100 || len(f.Body) > 0 && f.Body[len(f.Body)-1] != byte(i) || (f.File != nil) != (i%3 == 0) {
			t.Fatalf("frame %d: kind %d, %d bytes, file %v", i, f.Kind, len(f.Body), f.File)
		}
		if f.File != nil {
			text, err := io.ReadAll(f.File)
			if err != nil || len(text) != 1 || text[0] != byte(i) {
				t.Errorf("file %d holds %v: %v", i, text, err)
			}
			f.File.Close()
		}
	}
	if _, err := b.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v", err)
	}
	if err := a.Send(wire.Stop, nil); penstock.CodeOf(err) != penstock.Closed {
		t.Errorf("after the end: %v", err)
	}
}

// An end that dies has not read everything: the other one still gets what it sent,
// and then an error.
func TestAnEndThatDies(t *testing.T) {
	a, b := ends(t)
	var o wire.Out
	o.Text("last")
	if err := a.Send(wire.Hello, o); err != nil {
		t.Fatal(err)
	}
	if err := b.Send(wire.Start, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if f, err := b.Receive(); err != nil || wire.Read(f.Body).Text() != "last" {
		t.Fatalf("%v, %v", f, err)
	}
	a.Close()
	if _, err := b.Receive(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the error is %v", err)
	}
}

// Who sends to nobody waits, and learns it when the other end is gone.
func TestABrokenConnectionFreesWhoSends(t *testing.T) {
	a, b := ends(t)
	sent := make(chan error)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		body := make([]byte, 64<<10)
		for {
			if err := a.Send(wire.Note, body); err != nil {
				sent <- err
				return
			}
		}
	})
	select {
	case err := <-sent:
		t.Fatalf("nobody reads, and sending ends with %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	b.Close()
	if err := <-sent; err == nil {
		t.Error("there is no error")
	}
}
