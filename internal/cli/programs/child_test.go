package programs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/notify"
)

// child is a program that is run in the tests: an HTTP server at the socket that
// it inherits, which does at /hang, /leak, /crash and /spawn what its path says.
func child() error {
	sender, err := notify.FromEnvironment()
	if err != nil {
		return err
	}
	if pid := os.Getenv("LISTEN_PID"); pid != strconv.Itoa(os.Getpid()) || os.Getenv("LISTEN_FDS") != "1" || os.Getenv("LISTEN_FDNAMES") != "web" {
		return fmt.Errorf("LISTEN_PID is %s, LISTEN_FDS %s, LISTEN_FDNAMES %s", pid, os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"))
	}
	l, err := net.FileListener(os.NewFile(3, "web"))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var hung atomic.Bool
	var leak []byte
	crashed := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		fmt.Fprintf(w, "%d", os.Getpid())
	})
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { hung.Store(true) })
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { crashed <- struct{}{}; select {} })
	mux.HandleFunc("/leak", func(http.ResponseWriter, *http.Request) {
		leak = make([]byte, 512<<20)
		for i := 0; i < len(leak); i += os.Getpagesize() {
			leak[i] = 1
		}
	})
	mux.HandleFunc("/spawn", func(http.ResponseWriter, *http.Request) {
		if err := exec.Command("sh", "-c", "setsid sleep 300 & setsid sleep 300 & exit 0").Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	})
	server := &http.Server{Handler: mux}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Printf("instance %s serves\n", os.Getenv("SUPERVISE_INSTANCE"))
	fmt.Println(`{"level":"error","msg":"this is in JSON"}`)
	fmt.Fprintln(os.Stderr, "<2>this is critical")
	if err := sender.Ready("serves"); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !hung.Load() {
				_ = sender.Alive() // the manager may be killed in a test
			}
		case <-hangups:
			fmt.Println("hung up")
		case err := <-served:
			return err
		case <-crashed:
			return errCrash
		case <-ctx.Done():
			// Those who hold a connection are told to open another one; then those
			// who have just connected are served.
			<-time.After(300 * time.Millisecond)
			l.Close()
			<-served
			<-time.After(100 * time.Millisecond)
			if err := server.Shutdown(context.Background()); err != nil {
				return err
			}
			fmt.Println("has ended well")
			return nil
		}
	}
}

// errCrash ends the process in the middle of a request.
var errCrash = errors.New("crashes")

// run runs the child and returns the status of its process.
func run() int {
	err := child()
	switch {
	case errors.Is(err, errCrash):
		return 3
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
