package simtest

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Serve is the fake gateway as a process: with the arguments of penstock serve,
// it keeps its data and what its clients need in the directory after --data, and
// runs until SIGTERM. It takes its socket from its parent as from systemd, or
// else makes one.
func Serve(arguments []string, faults Faults) error {
	at := slices.Index(arguments, "--data")
	if at < 0 || at+1 == len(arguments) {
		return errors.New("--data is missing")
	}
	directory := arguments[at+1]
	listener, err := listen()
	if err != nil {
		return err
	}
	for _, name := range []string{"tls", "run"} {
		if err := os.MkdirAll(filepath.Join(directory, name), 0o700); err != nil {
			return err
		}
	}
	const token = "fake-token"
	g, err := Open(token, filepath.Join(directory, "journal"), faults)
	if err != nil {
		return err
	}
	server := httptest.NewUnstartedServer(g)
	if err := server.Listener.Close(); err != nil {
		return err
	}
	server.Listener = listener
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // clients of a test leave as they like
	server.StartTLS()
	defer server.Close()
	addresses, err := json.Marshal(map[string]string{"listen.https": listener.Addr().String()})
	if err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string][]byte{
		"tls/cert.pem": certificate, "admin.token": []byte(token + "\n"),
		"run/addresses.json": addresses, "run/pid": []byte(strconv.Itoa(os.Getpid())),
	} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	server.CloseClientConnections()
	return nil
}

// listen returns the socket that the parent passed, strictly as systemd would,
// or a new one when it passed none.
func listen() (net.Listener, error) {
	if os.Getenv("LISTEN_FDS") == "" {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	pid, err := strconv.Atoi(os.Getenv("LISTEN_PID"))
	if err != nil || pid != os.Getpid() || os.Getenv("LISTEN_FDS") != "1" || os.Getenv("LISTEN_FDNAMES") != "https" {
		return nil, errors.New("the parent passed a socket to another process, or another socket")
	}
	return net.FileListener(os.NewFile(3, "https"))
}
