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
	flag.Parse()
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
	return flag.NArg() == 0 && min(s.rounds, s.connections, s.controllers, s.members) >= 1 && s.length > 0 && min(s.idle, s.lines) >= 0
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
	if s.directory == "" {
		if s.directory, err = os.MkdirTemp("", "penstock-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(s.directory) // a temporary directory that stays harms nobody
	} else if err := os.MkdirAll(s.directory, 0o700); err != nil {
		return err
	}
	fmt.Printf("Penstock's benchmarks, %s, %s/%s, %d processors shared by generator and server\n",
		time.Now().UTC().Format(time.DateTime), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if s.field > 0 || s.polled > 0 {
		return s.fieldSide(ctx)
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

// long measures what a gateway does for a day, or for a whole fleet.
func (s settings) long(ctx context.Context) error {
	if err := s.history(ctx); err != nil {
		return err
	}
	if s.headline > 0 {
		return s.fleet(ctx)
	}
	return nil
}
