package apart_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/link"
)

// lines is a source of the tests: a line is a report in hexadecimal, or a word of
// command, and is answered with a line.
type lines struct {
	env     source.Env
	address string
	runs    *int // what it remembers
}

// settings are what it is made from.
type settings struct {
	Address          string
	Password         string
	Submits, Samples int // of a flood instead
}

func makeLines(config []byte) (func(source.Env) (penstock.Source, error), error) {
	var s settings
	if err := json.Unmarshal(config, &s); err != nil {
		return nil, err
	}
	return func(env source.Env) (penstock.Source, error) {
		if s.Submits > 0 {
			return &flood{env, s.Submits, s.Samples}, nil
		}
		runs, err := source.Remembered(env, func() (*int, error) { return new(int), nil })
		*runs++
		return &lines{env, s.Address, runs}, err
	}, nil
}

// Run implements penstock.Source.
func (s *lines) Run(ctx context.Context, next penstock.Handler) error {
	l, err := s.env.Listen(s.env.Name, s.address)
	if err != nil {
		return err
	}
	s.env.Bound("sources."+s.env.Name, l.Addr().String())
	s.env.Status.OK()
	ctx, fail := context.WithCancelCause(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer fail(nil)
	context.AfterFunc(ctx, func() { l.Close() })
	for {
		c, err := source.Accept(ctx, l, s.env.Log)
		if err != nil {
			if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
				return cause
			}
			return nil
		}
		work.Go(func() {
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			in := bufio.NewScanner(c)
			in.Buffer(nil, 1<<20)
			for in.Scan() {
				fmt.Fprintln(c, s.line(ctx, next, in.Text(), c.RemoteAddr(), fail))
			}
		})
	}
}

// line does what a line says, and returns the answer.
func (s *lines) line(ctx context.Context, next penstock.Handler, line string, from net.Addr, fail func(error)) string {
	page := s.env.Evidence.Port(s.env.Name)
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "panic":
		go func() { panic("a fault of a library: " + rest) }()
		<-ctx.Done()
	case "eat":
		var all [][]byte
		for {
			piece := make([]byte, 16<<20)
			for i := 0; i < len(piece); i += 4096 {
				piece[i] = 1
			}
			all = append(all, piece)
		}
	case "fail":
		fail(errors.New(rest))
	case "runs":
		return fmt.Sprint(*s.runs)
	case "keep":
		s.env.Retain([]byte(rest))
	case "recall":
		return "recalls " + string(s.env.Recall)
	case "pid":
		return fmt.Sprint(os.Getpid())
	case "env":
		return strings.Join(append(os.Environ(), os.Args...), " ")
	case "log":
		s.env.Log.With("line", 3).WithGroup("g").Warn(rest, "took", time.Second, "error", errors.New("no"))
	case "who":
		p, err := s.env.Auth.Authenticate(penstock.Credential{Token: rest})
		return fmt.Sprint(p, penstock.CodeOf(err), err)
	case "key":
		secret, p, err := s.env.Keys.Key(7)
		return fmt.Sprint(string(secret), p, err)
	case "marks":
		return fmt.Sprint(s.env.Marks.Marks(rest, 3))
	case "meet":
		if s.env.Newcomers == nil {
			return "nobody is new"
		}
		return fmt.Sprint(s.env.Newcomers.Meet(rest, 3), s.env.Newcomers.Await(ctx, rest, 3))
	case "lets":
		return fmt.Sprint(s.env.LetsIn(&net.UDPAddr{IP: net.ParseIP(rest)}))
	case "packet":
		c, err := s.env.ListenPacket("p", "127.0.0.1:0")
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		return c.LocalAddr().String()
	default:
		page.Peer(from.String())
		return s.report(ctx, next, []byte(line))
	}
	return "done"
}

// report submits a line until it is decided.
func (s *lines) report(ctx context.Context, next penstock.Handler, line []byte) string {
	page := s.env.Evidence.Port(s.env.Name)
	body, err := hex.DecodeString(string(line))
	if err != nil {
		page.Bad(evidence.Malformed, line, err.Error())
		return "malformed"
	}
	page.Count(evidence.Received)
	outcomes, err := next.Submit(ctx, []penstock.Envelope{{
		Peer: "here", ContentType: link.MediaType, Body: body, ReceivedTime: s.env.Now().UnixNano(), Principal: source.Own(s.env.Name, []string{"*"}),
	}}).Wait(ctx)
	switch {
	case err != nil:
		<-ctx.Done() // it is the connection's end that says it
		return ""
	case penstock.CodeOf(outcomes[0].Err).Temporary():
		return "later"
	case source.Refusal(outcomes) != "":
		return "refused"
	}
	return "ok"
}
