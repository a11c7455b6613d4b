package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/session"
)

var start = time.Unix(1_800_000_000, 0)

func testConfig() session.ReceiverConfig {
	return session.ReceiverConfig{Address: 7, Window: 1000, Largest: 2000, Heartbeat: 10 * time.Second, SameDisk: true}
}

// frames returns the frames in an output.
func frames(t *testing.T, out []byte) (all []link.Frame) {
	t.Helper()
	for len(out) > 0 {
		f, size, err := link.NextFrame(out, link.MaxPayload)
		if err != nil || size == 0 {
			t.Fatalf("an output is no row of frames: %v", err)
		}
		all = append(all, f)
		out = out[size:]
	}
	return all
}

// payloads decodes the frames of one kind in an output.
func acks(t *testing.T, out []byte) (all []link.Ack) {
	t.Helper()
	for _, f := range frames(t, out) {
		if f.Kind == link.KindAck {
			var m link.Ack
			if err := m.Decode(f.Payload); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
	}
	return all
}

func refusals(t *testing.T, out []byte) (all []link.Refusal) {
	t.Helper()
	for _, f := range frames(t, out) {
		if f.Kind == link.KindRefusal {
			var m link.Refusal
			if err := m.Decode(f.Payload); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
	}
	return all
}

// in reads a frame that was written.
func in(t *testing.T, b []byte) link.Frame {
	t.Helper()
	f, err := link.WholeFrame(b, link.MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func hello(epoch uint64) []byte {
	m := link.Hello{Oldest: 1, Newest: 1, Controller: controller, Epoch: epoch, Token: "pst_x"}
	return m.Append(nil, link.Header{Address: 7})
}

func data(reports ...[]byte) []byte { return link.AppendData(nil, link.Header{Address: 7}, reports...) }

// opened returns a receiver with an open session.
func opened(t *testing.T, c session.ReceiverConfig) *session.Receiver {
	t.Helper()
	r := session.NewReceiver(c, start)
	e := r.Receive(start, in(t, hello(7)))
	if e.Do != session.Authenticate {
		t.Fatalf("hello: %+v", e)
	}
	r.Admit(start, &e.Hello, session.Standing{LastEpoch: 7})
	r.Output()
	return r
}

// submit gives a data frame to the receiver and returns its batch.
func submit(t *testing.T, r *session.Receiver, frame []byte) session.Batch {
	t.Helper()
	e := r.Receive(start, in(t, frame))
	if e.Do != session.Submit {
		t.Fatalf("data: %+v with error %v", e.Do, e.Err)
	}
	return e.Batch
}

func accepted(seq, mark, committed uint64) penstock.Verdict {
	return penstock.Verdict{
		Controller: controller, Identity: penstock.SequenceIdentity(7, seq), Result: penstock.Accepted,
		Accepted: penstock.Mark{Epoch: 7, Seq: mark}, Committed: penstock.Mark{Epoch: 7, Seq: committed},
	}
}

func rejected(seq uint64, reason penstock.Reason) penstock.Verdict {
	v := accepted(seq, 0, 0)
	v.Result, v.Reason, v.Detail = penstock.Rejected, reason, "because of the test"
	return v
}

func TestHelloIsWelcomed(t *testing.T) {
	r := session.NewReceiver(testConfig(), start)
	if r.Limit() != link.MaxGreeting || r.Open() {
		t.Errorf("before the hello %d bytes are taken", r.Limit())
	}
	e := r.Receive(start, in(t, hello(7)))
	if e.Do != session.Authenticate || e.Hello.Controller != controller || e.Hello.Token != "pst_x" {
		t.Fatalf("hello: %+v", e)
	}
	if out := r.Output(); len(out) > 0 {
		t.Fatalf("an answer before the hello was judged: %x", out)
	}
	if again := r.Receive(start, in(t, hello(7))); again.Do != session.Nothing {
		t.Errorf("a hello that comes twice: %+v", again)
	}
	r.Admit(start, &e.Hello, session.Standing{LastEpoch: 9, LastBoot: 3, Accepted: 5, Committed: 4})
	all := frames(t, r.Output())
	var m link.Welcome
	if len(all) != 1 || all[0].Kind != link.KindWelcome || all[0].Address != 7 || m.Decode(all[0].Payload) != nil {
		t.Fatalf("the answer is %+v", all)
	}
	want := link.Welcome{
		Version: 1, Flags: link.SameDisk, Epoch: 7, LastEpoch: 9, LastBoot: 3, Accepted: 5, Committed: 4,
		Time: start.UnixNano(), Window: 1000, Largest: 2000, Heartbeat: 10 * time.Second,
	}
	if m != want {
		t.Errorf("the welcome is %+v, want %+v", m, want)
	}
	if !r.Open() || r.Limit() != 2000 || r.Controller() != controller {
		t.Error("the session is not open")
	}
}

func TestDenialsSayWhy(t *testing.T) {
	for _, c := range []struct {
		err    error
		reason string
		retry  time.Duration
	}{
		{penstock.Errorf(penstock.Unauthenticated, "the token is not known"), "unauthenticated", 0},
		{penstock.Errorf(penstock.Forbidden, "not yours"), "forbidden", 0},
		{penstock.Errorf(penstock.NotFound, "not registered"), "unknown", 0},
		{penstock.RetryLater(penstock.Limited, 3*time.Second, "too many"), "limited", 3 * time.Second},
		{penstock.RetryLater(penstock.Full, time.Minute, "the disk is full"), "full", time.Minute},
		{penstock.Errorf(penstock.Internal, "oops"), "unavailable", 0},
	} {
		r := session.NewReceiver(testConfig(), start)
		r.Receive(start, in(t, hello(7)))
		r.Deny(c.err)
		got := refusals(t, r.Output())
		if len(got) != 1 || !got[0].Session || got[0].Reason != c.reason || got[0].Retry != c.retry || got[0].Text != c.err.Error() {
			t.Errorf("%v: refused with %+v", c.err, got)
		}
		if e := r.Receive(start, in(t, hello(7))); e.Do != session.Finish {
			t.Errorf("%v: after it: %+v", c.err, e)
		}
	}
}

func TestWhatEndsASession(t *testing.T) {
	other := link.AppendReport(nil, &penstock.Report{Controller: "pump-18", Identity: penstock.SequenceIdentity(7, 1)})
	keyed := link.AppendReport(nil, &penstock.Report{Controller: controller, Identity: penstock.KeyIdentity("k")})
	later := link.AppendReport(nil, &penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(8, 1)})
	head := link.Header{Address: 7}
	for name, c := range map[string]struct {
		frame  []byte
		reason string
	}{
		"a report of another controller": {data(encode(1, 1), other), "controller"},
		"a report with a key":            {data(keyed), "malformed"},
		"two epochs in a frame":          {data(encode(1, 1), later), "malformed"},
		"no report":                      {data(), "malformed"},
		"half a report":                  {data(encode(1, 1)[:9]), "malformed"},
		"a frame of the gateway":         {(&link.Turn{}).Append(nil, head), "unsupported"},
		"a heartbeat with a byte more":   {link.AppendFrame(nil, link.Frame{Kind: link.KindHeartbeat, Address: 7, Payload: make([]byte, 9)}), "malformed"},
		"a newer version":                {(&link.Hello{Oldest: 2, Newest: 3, Controller: controller}).Append(nil, head), "unsupported"},
	} {
		r := opened(t, testConfig())
		e := r.Receive(start, in(t, c.frame))
		got := refusals(t, r.Output())
		if e.Do != session.Finish || len(got) != 1 || !got[0].Session || got[0].Reason != c.reason {
			t.Errorf("%s: %+v, refused with %+v", name, e.Do, got)
		}
	}
	r := opened(t, testConfig())
	if e := r.Broken(link.FaultChecksum.Errorf("damaged")); e.Do != session.Finish || e.Err == nil {
		t.Errorf("a frame that cannot be read: %+v", e)
	}
	r = opened(t, testConfig())
	if e := r.Receive(start, in(t, (&link.Bye{Reason: "stop"}).Append(nil, head))); e.Do != session.Finish || len(r.Output()) != 0 {
		t.Errorf("bye: %+v", e)
	}
}

func TestNothingWithoutAHello(t *testing.T) {
	head := link.Header{Address: 7}
	for name, frame := range map[string][]byte{"data": data(encode(1, 1)), "heartbeat": (&link.Heartbeat{}).Append(nil, head)} {
		r := session.NewReceiver(testConfig(), start)
		e := r.Receive(start, in(t, frame))
		got := refusals(t, r.Output())
		if e.Do != session.Finish || len(got) != 1 || got[0].Reason != "hello" {
			t.Errorf("%s: %+v, refused with %+v", name, e.Do, got)
		}
	}
	r := session.NewReceiver(testConfig(), start)
	r.Receive(start, in(t, (&link.TimeRequest{}).Append(nil, head)))
	if out := r.Output(); len(out) > 0 {
		t.Errorf("a stranger is told the time: %x", out)
	}
}

func TestAcksCoverWhatWasJudged(t *testing.T) {
	r := opened(t, testConfig())
	first, second, third := submit(t, r, data(encode(1, 1), encode(2, 2))), submit(t, r, data(encode(5, 5))), submit(t, r, data(encode(9, 9), encode(7, 7)))
	if len(r.Output()) > 0 {
		t.Fatal("something was said before a verdict")
	}
	r.Judged(third, []penstock.Verdict{accepted(9, 0, 0), rejected(7, penstock.ReasonLimited)}, nil)
	r.Judged(second, []penstock.Verdict{accepted(5, 0, 0)}, nil)
	r.Judged(first, []penstock.Verdict{accepted(1, 2, 1), rejected(2, penstock.ReasonRange)}, nil)
	out := append([]byte(nil), r.Output()...)
	got := acks(t, out)
	want := link.Ack{Epoch: 7, Accepted: 2, Committed: 1, Window: 1000, Count: 2}
	want.Ranges[0], want.Ranges[1] = link.Range{First: 5, Last: 5}, link.Range{First: 9, Last: 9}
	if len(got) != 1 || got[0] != want {
		t.Errorf("acks %+v, want one: %+v", got, want)
	}
	no := refusals(t, out)
	if len(no) != 2 || no[0].Seq != 7 || no[0].Verdict != link.Later || no[1].Seq != 2 || no[1].Verdict != link.Settled || no[1].Text == "" {
		t.Errorf("refusals %+v", no)
	}
	if all := frames(t, out); all[len(all)-1].Kind != link.KindAck {
		t.Error("a refusal comes after the ack that covers it")
	}
	r.Committed(penstock.Mark{Epoch: 6, Seq: 100})
	r.Committed(penstock.Mark{Epoch: 7, Seq: 1})
	if out := r.Output(); len(out) > 0 {
		t.Errorf("an ack without news: %x", out)
	}
	r.Committed(penstock.Mark{Epoch: 7, Seq: 5})
	if got := acks(t, r.Output()); len(got) != 1 || got[0].Committed != 5 || got[0].Count != 1 {
		t.Errorf("after the watermark moved: %+v", got)
	}
}

func TestEveryReasonHasItsDisposition(t *testing.T) {
	for reason, want := range map[penstock.Reason]link.Disposition{
		penstock.ReasonUnauthenticated: link.Later, penstock.ReasonLimited: link.Later, penstock.ReasonChecksum: link.Hollow,
		penstock.ReasonMalformed: link.Hollow, penstock.ReasonTooLarge: link.Hollow, penstock.ReasonForbidden: link.Later,
		penstock.ReasonUnknown: link.Later, penstock.ReasonName: link.Hollow, penstock.ReasonIdentity: link.Hollow,
		penstock.ReasonConflict: link.Settled, penstock.ReasonRefused: link.Settled, penstock.ReasonGaps: link.Later,
		penstock.ReasonType: link.Settled, penstock.ReasonRange: link.Settled, penstock.ReasonUnit: link.Settled,
		penstock.ReasonTime: link.Settled, penstock.ReasonStatus: link.Settled, penstock.ReasonScript: link.Settled,
	} {
		r := opened(t, testConfig())
		b := submit(t, r, data(encode(1, 1)))
		r.Judged(b, []penstock.Verdict{rejected(1, reason)}, nil)
		out := append([]byte(nil), r.Output()...)
		got := refusals(t, out)
		if len(got) != 1 || got[0].Verdict != want || got[0].Reason != string(reason) || got[0].Seq != 1 {
			t.Errorf("%s: %+v, want verdict %d", reason, got, want)
		}
		settled := want == link.Settled
		if a := acks(t, out); len(a) != 1 || (a[0].Accepted == 1) != settled {
			t.Errorf("%s: acks %+v", reason, a)
		}
	}
}

func TestOutcomesWithoutVerdicts(t *testing.T) {
	for _, c := range []struct {
		err     error
		do      session.Do
		reason  string
		verdict link.Disposition
	}{
		{penstock.RetryLater(penstock.Full, 5*time.Second, "the disk is full"), session.Nothing, "full", link.Later},
		{penstock.RetryLater(penstock.Limited, 5*time.Second, "too fast"), session.Nothing, "limited", link.Later},
		{penstock.Errorf(penstock.Internal, "the sync failed"), session.Nothing, "internal", link.Later},
		{penstock.Errorf(penstock.Invalid, "not readable"), session.Nothing, "malformed", link.Hollow},
		{penstock.Errorf(penstock.TooLarge, "too many samples"), session.Nothing, "too_large", link.Hollow},
		{penstock.Errorf(penstock.Unauthenticated, "revoked"), session.Finish, "unauthenticated", link.Later},
	} {
		r := opened(t, testConfig())
		e := r.Judged(submit(t, r, data(encode(1, 1), encode(2, 2))), nil, c.err)
		out := append([]byte(nil), r.Output()...)
		got := refusals(t, out)
		want := 2
		if c.do == session.Finish {
			want = 1
		}
		if e.Do != c.do || len(got) != want || got[0].Reason != c.reason || got[0].Verdict != c.verdict || got[0].Retry != penstock.RetryAfterOf(c.err) {
			t.Errorf("%v: %v, refused with %+v", c.err, e.Do, got)
		}
		if a := acks(t, out); len(a) > 0 {
			t.Errorf("%v: acked with %+v", c.err, a)
		}
	}
	r := opened(t, testConfig())
	r.Judged(submit(t, r, data(encode(1, 1), encode(2, 2))), []penstock.Verdict{accepted(1, 1, 0)}, nil)
	if got := refusals(t, r.Output()); len(got) != 2 || got[0].Reason != "internal" {
		t.Errorf("two reports with one verdict: %+v", got)
	}
}

func TestTheWindowHolds(t *testing.T) {
	c := testConfig()
	c.Window = 300
	r := opened(t, c)
	first := submit(t, r, data(encode(1, 1), encode(2, 2)))
	if first.Cost() != len(first.Body)+2*64 || r.Full() {
		t.Errorf("the batch counts %d, full %v", first.Cost(), r.Full())
	}
	if e := r.Receive(start, in(t, data(encode(3, 3), encode(4, 4)))); e.Do != session.Nothing {
		t.Fatalf("above the window: %+v", e)
	}
	if got := refusals(t, r.Output()); len(got) != 2 || got[0].Reason != "limited" || got[0].Verdict != link.Later || got[1].Seq != 4 {
		t.Errorf("above the window: %+v", got)
	}
	r.Judged(first, []penstock.Verdict{accepted(1, 1, 0), accepted(2, 2, 0)}, nil)
	large := submit(t, r, data(encode(3, 3), encode(4, 4), encode(5, 5), encode(6, 6))) // alone it may be larger
	if !r.Full() {
		t.Error("the window is not full")
	}
	r.Judged(large, nil, penstock.Errorf(penstock.Internal, "oops"))
	if r.Full() {
		t.Error("what failed is still under way")
	}
}

func TestABatchOfAnotherSessionIsNotAcked(t *testing.T) {
	r := opened(t, testConfig())
	b := submit(t, r, data(encode(1, 1)))
	m := link.Hello{Oldest: 1, Newest: 1, Controller: "pump-18", Epoch: 7}
	e := r.Receive(start, in(t, m.Append(nil, link.Header{Address: 7})))
	r.Admit(start, &e.Hello, session.Standing{})
	r.Output()
	r.Judged(b, []penstock.Verdict{accepted(1, 1, 1)}, nil)
	if out := r.Output(); len(out) > 0 {
		t.Errorf("pump-18 gets what pump-17 is due: %x", out)
	}
}

func TestABatchOfAnEpochBeforeIsAckedForItself(t *testing.T) {
	r := opened(t, testConfig())
	old := submit(t, r, data(encode(1, 1)))
	report := link.AppendReport(nil, &penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(8, 1)})
	submit(t, r, data(report))
	r.Judged(old, []penstock.Verdict{accepted(1, 1, 0)}, nil)
	if got := acks(t, r.Output()); len(got) != 1 || got[0].Epoch != 7 || got[0].Accepted != 1 || r.Epoch() != 8 {
		t.Errorf("acks %+v in epoch %d", got, r.Epoch())
	}
}

func TestSilenceEndsASession(t *testing.T) {
	r := session.NewReceiver(testConfig(), start)
	if r.Expired(start.Add(9*time.Second)) || !r.Expired(start.Add(10*time.Second)) {
		t.Error("a stranger has ten seconds for its hello")
	}
	r = opened(t, testConfig())
	r.Receive(start.Add(20*time.Second), in(t, (&link.Heartbeat{Newest: 3}).Append(nil, link.Header{Address: 7})))
	if got := acks(t, r.Output()); len(got) != 1 {
		t.Errorf("a heartbeat is answered with %+v", got)
	}
	if r.Expired(start.Add(49 * time.Second)) {
		t.Error("the session is over too early")
	}
	if !r.Expired(start.Add(50*time.Second)) || !r.Expired(start) {
		t.Error("the session is not over")
	}
	if all := frames(t, r.Output()); len(all) != 1 || all[0].Kind != link.KindGatewayBye {
		t.Errorf("the end is %+v", all)
	}
}

func TestSealedCarriersNeedNoHello(t *testing.T) {
	c := testConfig()
	c.Implicit = true
	r := session.NewReceiver(c, start)
	b := submit(t, r, data(encode(3, 3)))
	r.Judged(b, []penstock.Verdict{accepted(3, 0, 0)}, nil)
	got := acks(t, r.Output())
	if len(got) != 1 || got[0].Epoch != 7 || got[0].Count != 1 || got[0].Ranges[0] != (link.Range{First: 3, Last: 3}) {
		t.Errorf("acks %+v", got)
	}
	if r.Controller() != controller {
		t.Errorf("the session is that of %q", r.Controller())
	}
}

func TestAQuestionOpensNothing(t *testing.T) {
	r := session.NewReceiver(testConfig(), start)
	e := r.Receive(start, in(t, hello(0)))
	r.Admit(start, &e.Hello, session.Standing{LastEpoch: 41})
	var m link.Welcome
	if all := frames(t, r.Output()); len(all) != 1 || m.Decode(all[0].Payload) != nil || m.LastEpoch != 41 || m.Epoch != 0 || r.Open() {
		t.Errorf("the welcome is %+v, open %v", m, r.Open())
	}
	e = r.Receive(start, in(t, hello(42)))
	if r.Admit(start, &e.Hello, session.Standing{LastEpoch: 41}); !r.Open() {
		t.Error("the second hello opens no session")
	}
}

// TestSettledKeepsTheLowestRanges settles every other number, and then the rest.
func TestSettledKeepsTheLowestRanges(t *testing.T) {
	c := testConfig()
	c.Window = 1 << 20
	r := opened(t, c)
	ack := func(seq uint64) link.Ack {
		r.Judged(submit(t, r, data(encode(seq, 1))), []penstock.Verdict{accepted(seq, 0, 0)}, nil)
		return acks(t, r.Output())[0]
	}
	var last link.Ack
	for seq := uint64(200); seq > 0; seq -= 2 {
		last = ack(seq)
	}
	if last.Count != link.MaxRanges || last.Ranges[0].First != 2 || last.Ranges[31].Last != 64 {
		t.Errorf("%d ranges from %d to %d", last.Count, last.Ranges[0].First, last.Ranges[max(last.Count, 1)-1].Last)
	}
	for seq := uint64(1); seq < 64; seq += 2 {
		last = ack(seq)
	}
	if last.Accepted != 64 || last.Count != 0 {
		t.Errorf("when the gaps are filled: %+v", last)
	}
}

func TestTextsOfTheGatewayAreSentences(t *testing.T) {
	r := opened(t, testConfig())
	r.Receive(start, in(t, data()))
	if got := refusals(t, r.Output()); len(got) != 1 || !strings.Contains(got[0].Text, " ") {
		t.Errorf("%+v", got)
	}
}

func BenchmarkReceiver(b *testing.B) {
	r := session.NewReceiver(session.ReceiverConfig{Window: 1 << 20, Largest: 1 << 20, Heartbeat: time.Minute}, start)
	f, _, err := link.NextFrame(hello(7), link.MaxPayload)
	if err != nil {
		b.Fatal(err)
	}
	e := r.Receive(start, f)
	r.Admit(start, &e.Hello, session.Standing{})
	r.Output()
	frame := data(encode(1, 1))
	verdicts := []penstock.Verdict{accepted(1, 1, 1)}
	b.ReportAllocs()
	for b.Loop() {
		f, _, err := link.NextFrame(frame, link.MaxPayload)
		if err != nil {
			b.Fatal(err)
		}
		r.Judged(r.Receive(start, f).Batch, verdicts, nil)
		r.Output()
	}
}
