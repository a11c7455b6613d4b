package sim

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock"
)

func TestAnswers(t *testing.T) {
	r := penstock.Report{Controller: "a", Identity: penstock.SequenceIdentity(2, 3)}
	for name, c := range map[string]struct {
		raw  string
		want Answer
		ok   bool
	}{
		"accepted":         {`{"results":[{"controller":"a","epoch":2,"seq":3,"result":"accepted","committed":{"epoch":2,"seq":1}}]}`, Answer{Result: penstock.Accepted, Committed: penstock.Mark{Epoch: 2, Seq: 1}}, true},
		"another epoch":    {`{"results":[{"controller":"a","epoch":2,"seq":3,"result":"duplicate","committed":{"epoch":1,"seq":9}}]}`, Answer{Result: penstock.Duplicate}, true},
		"rejected":         {`{"results":[{"controller":"a","epoch":2,"seq":3,"result":"rejected","reason":"type","detail":"no"}]}`, Answer{Result: penstock.Rejected, Reason: "type", Detail: "no"}, true},
		"another seq":      {`{"results":[{"controller":"a","epoch":2,"seq":4,"result":"accepted"}]}`, Answer{}, false},
		"another sender":   {`{"results":[{"controller":"b","epoch":2,"seq":3,"result":"accepted"}]}`, Answer{}, false},
		"an unknown word":  {`{"results":[{"controller":"a","epoch":2,"seq":3,"result":"fine"}]}`, Answer{}, false},
		"no result":        {`{"results":[]}`, Answer{}, false},
		"not JSON":         {`<html>`, Answer{}, false},
		"a cut-off answer": {`{"results":[{"controller":"a","epoch":2`, Answer{}, false},
	} {
		got, err := readAnswer([]byte(c.raw), &r)
		if got != c.want || (err == nil) != c.ok || err != nil && !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		code   penstock.Code
		after  time.Duration
		open   bool // whether the outcome is open
	}{
		"checksum":      {400, `{"code":"corrupt","title":"t","detail":"d"}`, penstock.Corrupt, 0, false},
		"rule":          {400, `{"code":"invalid"}`, penstock.Invalid, 0, false},
		"token":         {401, `{"code":"unauthenticated"}`, penstock.Unauthenticated, 0, false},
		"proxy":         {403, `<html>`, penstock.Invalid, 0, false},
		"limited":       {429, `{"code":"limited"}`, penstock.Unavailable, 7 * time.Second, false},
		"full":          {503, `{"code":"full"}`, penstock.Unavailable, 7 * time.Second, false},
		"slow":          {408, `{"code":"timeout"}`, penstock.Internal, 0, true},
		"gateway broke": {500, `{"code":"internal"}`, penstock.Internal, 0, true},
		"proxy broke":   {502, ``, penstock.Internal, 0, true},
	} {
		err := refusal(&http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {"7"}}}, []byte(c.body))
		if penstock.CodeOf(err) != c.code || penstock.RetryAfterOf(err) != c.after || errors.Is(err, ErrUnknown) != c.open {
			t.Errorf("%s: got %v, code %s, after %v", name, err, penstock.CodeOf(err), penstock.RetryAfterOf(err))
		}
	}
}
