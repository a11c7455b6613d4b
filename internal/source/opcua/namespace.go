package opcua

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/gopcua/opcua/ua"
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/opcua/session"
)

// nodeID is how a node id is written; the library takes any text for one.
var nodeID = regexp.MustCompile(`^(ns=[0-9]+;|nsu=[^;]+;)?[isgb]=.+$`)

// named is a node id whose namespace is named by its URI: the number is the
// server's, and may be another when it starts anew.
type named struct {
	uri  string
	rest string // the node id without a namespace
}

// parseNode reads a node id.
func parseNode(text string) (*ua.NodeID, *named, error) {
	wrong := penstock.Errorf(penstock.Invalid, "%q is no node id: write it as in ns=2;s=Pump17.Flow, ns=2;i=1004 or nsu=urn:maker:plant;s=Pump17.Flow", text)
	if !nodeID.MatchString(text) {
		return nil, nil, wrong
	}
	after, byURI := strings.CutPrefix(text, "nsu=")
	if !byURI {
		id, err := ua.ParseNodeID(text)
		if err != nil {
			return nil, nil, wrong
		}
		return id, nil, nil
	}
	uri, rest, _ := strings.Cut(after, ";")
	id, err := ua.ParseNodeID(rest)
	if err != nil {
		return nil, nil, wrong
	}
	return id, &named{strings.NewReplacer("%3B", ";", "%3b", ";", "%25", "%").Replace(uri), rest}, nil
}

// namespaceArray is the number of the variable that holds a server's namespaces (OPC
// 10000-5, Server_NamespaceArray).
const namespaceArray = 2255

// nowhere is a namespace that no server has.
const nowhere = math.MaxUint16

// resolve finds the namespaces that are named by URI among those of the server. A
// node whose namespace is not there keeps its place, and the server refuses it.
func (f *feed) resolve(ctx context.Context) error {
	var list []*node
	for i := range f.groups {
		for k := range f.groups[i].nodes {
			if n := &f.groups[i].nodes[k]; n.named != nil {
				list = append(list, n)
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	has, err := f.namespaces(ctx)
	if err != nil {
		return err
	}
	missing := map[string]bool{}
	for _, n := range list {
		number := slices.Index(has, n.named.uri)
		if number < 0 {
			number = nowhere
			if !missing[n.named.uri] {
				missing[n.named.uri] = true
				f.env.Log.Warn("the server does not have a namespace of the configuration", "namespace", n.named.uri, "has", strings.Join(has, " "))
			}
		}
		if n.id, err = ua.ParseNodeID(fmt.Sprintf("ns=%d;%s", number, n.named.rest)); err != nil {
			return penstock.Errorf(penstock.Invalid, "%s: %w", n.Node.Node, err)
		}
	}
	return nil
}

// namespaces returns the URIs of the server's namespaces, each at its number.
func (f *feed) namespaces(ctx context.Context) ([]string, error) {
	res, err := ask[*ua.ReadResponse](ctx, f, &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnNeither, NodesToRead: []*ua.ReadValueID{{
		NodeID: ua.NewNumericNodeID(0, namespaceArray), AttributeID: ua.AttributeIDValue, DataEncoding: &ua.QualifiedName{},
	}}})
	if err != nil {
		return nil, session.Failure("the namespaces of the server could not be read", err)
	}
	if len(res.Results) == 1 && res.Results[0] != nil && res.Results[0].Value != nil {
		if list, ok := res.Results[0].Value.Value().([]string); ok && len(list) < nowhere {
			return list, nil
		}
	}
	return nil, penstock.Errorf(penstock.Unsupported, "the server does not tell its namespaces: write ns= and their numbers in place of nsu=")
}
