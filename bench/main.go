package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench/drain"
)

// settings are the flags.
type settings struct {
	gateway     string
	directory   string
	length      time.Duration
	rounds      int
	connections int
	idle        int
	controllers int
	headline    time.Duration
	speed       float64 // of this machine, against that of the floors; 0: not measured
	lines       int
	only        string
	field       time.Duration
	polled      time.Duration
	members     int
	drain       bool
	drained     drain.Options
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == bareCommand {
		finish(serveBare(os.Args[2]))
	}
	var s settings
	flag.StringVar(&s.gateway, "gateway", "bin/penstock", "the gateway's `program`")
	flag.StringVar(&s.directory, "data", "", "`directory` for the data; on the disk to measure (default: a temporary one)")
	flag.DurationVar(&s.length, "for", 5*time.Second, "length of each measurement")
	flag.IntVar(&s.rounds, "rounds", 3, "how often each load runs, in turn; the table has the medians")
	flag.IntVar(&s.connections, "connections", 32, "connections with one request under way each")
	flag.IntVar(&s.idle, "idle", 6000, "idle connections to weigh; 0 for none")
	flag.IntVar(&s.controllers, "controllers", 5000, "controllers of the headline fleet")
	flag.DurationVar(&s.headline, "headline", time.Minute, "length of the headline run; 0 for none")
	flag.IntVar(&s.lines, "lines", 5000, "connections of the link protocol; 0 for none")
	flag.StringVar(&s.only, "only", "", "run only the loads whose names hold this `text`, and nothing beside them")
	flag.DurationVar(&s.field, "field", 0, "run nothing but the fleet of the field, for so long: controllers of the link protocol and as many of MQTT, which all come back at once at the end")
	flag.IntVar(&s.members, "members", 5000, "controllers of each protocol in the fleet of the field")
	flag.DurationVar(&s.polled, "polled", 0, "run nothing but the polled fleets, for so long: 1,000 Modbus devices on 40 lines with none dead, and beside them as many with a tenth dead")
	flag.BoolVar(&s.drain, "drain", false, "run nothing but the outage of a record in PostgreSQL")
	flag.DurationVar(&s.drained.Outage, "outage", time.Hour, "whose reports wait for PostgreSQL when it is back; 0 for no outage")
	flag.IntVar(&s.drained.Controllers, "drained", 1000, "controllers of which each reports 24 samples every 10 s, before, in and after the outage")
	flag.Parse()
	s.drained.Length = 6 * s.length
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := s.run(ctx)
	stop()
	finish(err)
}

func finish(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// sound tells whether the flags can be.
func (s *settings) sound() bool {
	return flag.NArg() == 0 && min(s.rounds, s.connections, s.controllers, s.members, s.drained.Controllers) >= 1 && s.length > 0 && min(s.idle, s.lines) >= 0
}

// run measures everything and prints one table after the other.
func (s *settings) run(ctx context.Context) error {
	if !s.sound() {
		return errors.New("every number must be positive, and there are no arguments; see -help")
	}
	program, err := findGateway(s.gateway)
	if err != nil {
		return err
	}
	s.gateway = program
	remove, err := s.makeDirectory()
	if err != nil {
		return err
	}
	defer remove()
	fmt.Printf("Penstock's benchmarks, %s, %s/%s, %d processors shared by generator and server\n",
		time.Now().UTC().Format(time.DateTime), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if s.field > 0 || s.polled > 0 {
		return s.fieldSide(ctx)
	}
	if s.drain {
		return s.outage(ctx)
	}
	var flushed []flushes
	if s.only == "" {
		if flushed, err = s.machine(); err != nil {
			return err
		}
	}
	if err := s.throughput(ctx, flushed); err != nil {
		return err
	}
	if err := s.link(ctx); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	if err := s.scripts(ctx); err != nil {
		return fmt.Errorf("script: %w", err)
	}
	if s.only != "" {
		return nil
	}
	return s.long(ctx)
}

// makeDirectory makes the directory of the data, which PostgreSQL can pass too: it has a
// user of its own. A temporary one goes with remove.
func (s *settings) makeDirectory() (remove func(), err error) {
	const mode = 0o711
	if s.directory != "" {
		return func() {}, os.MkdirAll(s.directory, mode)
	}
	if s.directory, err = os.MkdirTemp("", "penstock-bench-"); err != nil {
		return nil, err
	}
	remove = func() { _ = os.RemoveAll(s.directory) } // a temporary directory that stays harms nobody
	return remove, os.Chmod(s.directory, mode)
}

// long measures what a gateway does for a day, or for a whole fleet.
func (s settings) long(ctx context.Context) error {
	if err := s.history(ctx); err != nil {
		return err
	}
	if s.headline > 0 {
		if err := s.fleet(ctx); err != nil {
			return err
		}
	}
	return s.outage(ctx)
}
