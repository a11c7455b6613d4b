package apiclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/apiclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// read returns the events of a stream that holds the text, and the error that it
// ends with.
func read(t *testing.T, text string) ([]apiclient.Event, error) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	defer s.Close()
	c, err := apiclient.New(apiclient.Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var events []apiclient.Event
	err = c.Stream(context.Background(), apiclient.Watch{}, func(e apiclient.Event) error {
		events = append(events, e)
		return nil
	})
	return events, err
}

func TestStreamReadsEvents(t *testing.T) {
	events, err := read(t, "retry: 5\n\n: comment\n\nid:1\ndata:{\"controller\":\ndata: \"a\"}\n\n"+
		"event: missed\ndata: {\"missed\":null}\n\nevent: missed\ndata: {\"missed\":7}\n\nevent: later\ndata: ?\n\nid: 3\nevent: report\ndata: {\"controller\":\"b\"}\n\ndata: {\"cut")
	var broken *apiclient.Unreachable
	if !errors.As(err, &broken) || !broken.Broken || penstock.CodeOf(err) != penstock.Unavailable {
		t.Errorf("ended with %v", err)
	}
	if len(events) != 4 || events[0].ID != "1" || events[0].Report.Controller != "a" || !events[1].Missed || events[1].Count != nil ||
		*events[2].Count != 7 || events[3].ID != "3" || events[3].Report.Controller != "b" {
		t.Errorf("got %+v", events)
	}
}

func TestStreamEndsAtNonsense(t *testing.T) {
	for _, text := range []string{"data: {\n\n", "event: missed\ndata: x\n\n"} {
		if _, err := read(t, text); penstock.CodeOf(err) != penstock.Internal {
			t.Errorf("%q ends with %v", text, err)
		}
	}
}

// FuzzStream asserts that no stream panics, and that every one ends with an
// error, as a stream has no good end.
func FuzzStream(f *testing.F) {
	f.Add("id: 1\nevent: report\ndata: {\"samples\":[{\"value\":1,\"status\":0}]}\n\n")
	f.Add("event: missed\r\ndata: {\"missed\":-1}\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := read(t, text); err == nil {
			t.Errorf("%q ends well", text)
		}
	})
}
