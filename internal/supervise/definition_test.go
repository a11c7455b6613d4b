package supervise

import (
	"reflect"
	"slices"
	"testing"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/supervise/lifecycle"
)

// A key that is added to a program must not be one that a reload overlooks.
func TestEveryKeyMakesADifference(t *testing.T) {
	var p Program
	p.SetDefaults()
	for n := range reflect.TypeFor[Program]().NumField() {
		field := reflect.TypeFor[Program]().Field(n)
		o := p
		set(t, reflect.ValueOf(&o).Elem().Field(n))
		process, treatment := p.difference(&o)
		if got := len(process) + len(treatment); got != 1 && field.Name != "Instances" {
			t.Errorf("%s: differs in %v and %v", field.Name, process, treatment)
		}
		if same, also := p.difference(&p); same != nil || also != nil {
			t.Errorf("a program differs from itself in %v and %v", same, also)
		}
	}
	a, b := Program{Command: []string{"x"}, Environment: map[string]string{}}, Program{Command: []string{"x"}, Listen: []string{}}
	if process, _ := a.difference(&b); process != nil {
		t.Errorf("nothing and an empty list differ in %v", process)
	}
	if process, treatment := p.difference(&Program{Watchdog: 1}); !slices.Contains(process, "watchdog") || !slices.Contains(treatment, "memory") && p.Memory != 0 {
		t.Errorf("%v, %v", process, treatment)
	}
}

func set(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case GiveUp:
		v.Set(reflect.ValueOf(GiveUp{Failures: 77}))
		return
	case lifecycle.Restart, string:
		v.SetString("other")
		return
	case config.Duration, config.Size:
		v.Set(reflect.ValueOf(int64(77)).Convert(v.Type()))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int:
		v.SetInt(77)
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"other"}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"other": "x"}))
	default:
		t.Fatalf("how is a %s changed?", v.Type())
	}
}
