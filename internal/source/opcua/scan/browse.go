package scan

import (
	"context"
	"fmt"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/opcua"
	"github.com/penstock/penstock/internal/source/opcua/session"
)

// Options say what to look for at a server.
type Options struct {
	Session session.Settings
	Root    string // node id below which is looked
	Depth   int    // levels below the root that are looked at
	Max     int    // variables that are kept
}

// Found is what a server has.
type Found struct {
	Session   session.Settings // with which it was asked; its trust is filled in
	Variables []Variable
	More      bool // there is more than was asked for
}

// Variable is a variable as the server describes it.
type Variable struct {
	Node   string   // its node id
	Path   []string // names from below the root
	Type   string   // of its value, empty when it could not be read
	Array  int      // elements, -1 for no array
	Unit   string   // UCUM, where the server tells one that is known
	Told   string   // the unit's name at the server
	Reason string   // why it has no value, or none that a point can hold
}

// The sizes of what a scan asks for at once.
const (
	browsedAtOnce = 100
	readAtOnce    = 100
	maxBrowsed    = 200_000 // nodes altogether
)

// browser is a scan at work.
type browser struct {
	client      *session.Client
	depth, most int
	seen        map[string]bool
	found       Found
	units       map[int]*ua.NodeID // node of the unit, by variable
}

// place is a node on the way down.
type place struct {
	id       *ua.NodeID
	path     []string
	variable int // -1 for an object
}

// Run connects, looks at everything below the root, and disconnects. It only
// reads. Errors have code [penstock.NotFound] when there is nothing.
func Run(ctx context.Context, o Options, env source.Env) (*Found, error) {
	root, err := ua.ParseNodeID(o.Root)
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "%q is no node id: write it as in ns=2;s=Plant", o.Root)
	}
	s := o.Session
	if s.Security.Trust == "" && s.Security.CA == "" && s.Security.Policy != session.PolicyNone {
		if s.Security.Trust, err = session.Shown(ctx, s.Endpoint, s.Timeout); err != nil {
			return nil, err
		}
	}
	s.Longest = s.Timeout
	if err := s.Fill(); err != nil {
		return nil, err
	}
	client, err := session.Connect(ctx, s, env)
	if err != nil {
		return nil, err
	}
	defer client.Leave(ctx, false)
	b := &browser{client: client, depth: o.Depth, most: o.Max, seen: map[string]bool{}, units: map[int]*ua.NodeID{}, found: Found{Session: s}}
	if err := b.walk(ctx, root); err != nil {
		return nil, err
	}
	if len(b.found.Variables) == 0 {
		return nil, penstock.Errorf(penstock.NotFound, "there is no variable below %s in %d levels: give another root, or more depth", o.Root, o.Depth)
	}
	if err := b.describe(ctx); err != nil {
		return nil, err
	}
	return &b.found, nil
}

// walk looks at the nodes level by level, so that what is near the root comes
// first when there is too much.
func (b *browser) walk(ctx context.Context, root *ua.NodeID) error {
	level := []place{{id: root, variable: -1}}
	b.seen[root.String()] = true
	for depth := 0; depth < b.depth && len(level) > 0; depth++ {
		var below []place
		for first := 0; first < len(level) && !b.found.More; first += browsedAtOnce {
			some, err := b.browse(ctx, level[first:min(first+browsedAtOnce, len(level))])
			if err != nil {
				return err
			}
			below = append(below, some...)
		}
		level = below
	}
	return nil
}

// browse returns the nodes below some.
func (b *browser) browse(ctx context.Context, some []place) (below []place, err error) {
	req := &ua.BrowseRequest{View: &ua.ViewDescription{ViewID: ua.NewTwoByteNodeID(0)}}
	for _, p := range some {
		req.NodesToBrowse = append(req.NodesToBrowse, &ua.BrowseDescription{
			NodeID: p.id, BrowseDirection: ua.BrowseDirectionForward, ReferenceTypeID: ua.NewNumericNodeID(0, id.HierarchicalReferences),
			IncludeSubtypes: true, NodeClassMask: uint32(ua.NodeClassObject | ua.NodeClassVariable), ResultMask: uint32(ua.BrowseResultMaskAll),
		})
	}
	res, err := session.Ask[*ua.BrowseResponse](ctx, b.client, req)
	if err != nil {
		return nil, session.Failure("the server could not be browsed", err)
	}
	for i, r := range res.Results {
		for i < len(some) && r != nil {
			below = append(below, b.note(some[i], r.References)...)
			if len(r.ContinuationPoint) == 0 {
				break
			}
			if r, err = b.more(ctx, r.ContinuationPoint); err != nil {
				return nil, err
			}
		}
	}
	return below, nil
}

func (b *browser) more(ctx context.Context, point []byte) (*ua.BrowseResult, error) {
	res, err := session.Ask[*ua.BrowseNextResponse](ctx, b.client, &ua.BrowseNextRequest{ContinuationPoints: [][]byte{point}, ReleaseContinuationPoints: b.found.More})
	if err != nil || len(res.Results) != 1 || b.found.More {
		return nil, err
	}
	return res.Results[0], nil
}

// note keeps what is below a place, and returns where to go on.
func (b *browser) note(from place, references []*ua.ReferenceDescription) (below []place) {
	for _, r := range references {
		if r == nil || r.NodeID == nil || r.NodeID.NodeID == nil || r.BrowseName == nil || b.property(from, r) {
			continue
		}
		node := r.NodeID.NodeID
		name := node.String()
		if b.seen[name] || node.Namespace() == 0 {
			continue // what is in the standard's own namespace tells of the server, not of the plant
		}
		if len(b.seen) >= maxBrowsed || r.NodeClass == ua.NodeClassVariable && len(b.found.Variables) >= b.most {
			b.found.More = true
			return below
		}
		b.seen[name] = true
		p := place{id: node, path: append(from.path[:len(from.path):len(from.path)], r.BrowseName.Name), variable: -1}
		if r.NodeClass == ua.NodeClassVariable {
			p.variable = len(b.found.Variables)
			b.found.Variables = append(b.found.Variables, Variable{Node: name, Path: p.path, Array: -1})
		}
		below = append(below, p)
	}
	return below
}

// property tells whether a reference is one to a property, and keeps that of a
// unit.
func (b *browser) property(from place, r *ua.ReferenceDescription) bool {
	t := r.ReferenceTypeID
	if t == nil || t.Namespace() != 0 || t.IntID() != id.HasProperty {
		return false
	}
	if from.variable >= 0 && r.BrowseName.Name == "EngineeringUnits" {
		b.units[from.variable] = r.NodeID.NodeID
	}
	return true
}

// describe reads the values and the units of the variables.
func (b *browser) describe(ctx context.Context) error {
	all := b.found.Variables
	for first := 0; first < len(all); first += readAtOnce {
		some := all[first:min(first+readAtOnce, len(all))]
		req := &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnNeither}
		var units []int // whose unit is read, behind the values
		for i := range some {
			node, err := ua.ParseNodeID(some[i].Node)
			if err != nil {
				return penstock.Errorf(penstock.Internal, "the node id %s cannot be read back: %w", some[i].Node, err)
			}
			req.NodesToRead = append(req.NodesToRead, valueAt(node))
			if b.units[first+i] != nil {
				units = append(units, i)
			}
		}
		for _, i := range units {
			req.NodesToRead = append(req.NodesToRead, valueAt(b.units[first+i]))
		}
		res, err := session.Ask[*ua.ReadResponse](ctx, b.client, req)
		if err != nil {
			return session.Failure("the values could not be read", err)
		}
		for i, v := range res.Results {
			switch {
			case v == nil:
			case i < len(some):
				some[i].describe(v)
			case i-len(some) < len(units):
				some[units[i-len(some)]].measured(v)
			}
		}
	}
	return nil
}

func valueAt(node *ua.NodeID) *ua.ReadValueID {
	return &ua.ReadValueID{NodeID: node, AttributeID: ua.AttributeIDValue, DataEncoding: &ua.QualifiedName{}}
}

// describe notes what a value is.
func (v *Variable) describe(d *ua.DataValue) {
	if status := penstock.Status(d.Status); d.Has(ua.DataValueStatusCode) && status.IsBad() {
		v.Reason = status.String()
		return
	}
	if d.Value == nil || d.Value.Type() == ua.TypeIDNull {
		return
	}
	v.Type, v.Reason = opcua.Fits(d.Value)
	if d.Value.Has(ua.VariantArrayValues) {
		v.Array = int(d.Value.ArrayLength())
	}
}

// measured notes a unit.
func (v *Variable) measured(d *ua.DataValue) {
	if d.Value == nil {
		return
	}
	object, ok := d.Value.Value().(*ua.ExtensionObject)
	if !ok || object == nil {
		return
	}
	unit, ok := object.Value.(*ua.EUInformation)
	if !ok || unit == nil {
		return
	}
	if unit.DisplayName != nil {
		v.Told = unit.DisplayName.Text
	}
	v.Unit = ucum[commonCode(unit.UnitID)]
}

// commonCode returns the UNECE code of a unit: its characters are the bytes of the
// number (OPC 10000-8, 5.6.3).
func commonCode(n int32) string {
	code := ""
	for shift := 24; shift >= 0; shift -= 8 {
		if c := byte(n >> shift); c != 0 {
			code += string(rune(c))
		}
	}
	return code
}

// ucum holds the units of power and water by their UNECE codes.
var ucum = map[string]string{
	"BAR": "bar", "KPA": "kPa", "MQH": "m3/h", "MTQ": "m3", "MTR": "m", "KWH": "kW.h", "KWT": "kW", "MAW": "MW", "HTZ": "Hz",
	"VLT": "V", "KVT": "kV", "AMP": "A", "P1": "%", "CEL": "Cel", "LTR": "L", "SEC": "s", "MIN": "min", "HUR": "h", "KGM": "kg", "WTT": "W",
}

// label says what a variable holds, for people.
func (v *Variable) label() string {
	switch {
	case v.Array >= 0:
		return fmt.Sprintf("an array of %d", v.Array)
	case v.Reason != "":
		return v.Reason
	}
	return v.Type
}
