package filter

import (
	"strings"

	"github.com/penstock/penstock"
)

// sharePrefix begins the filter of a shared subscription: $share/NAME/FILTER.
const sharePrefix = "$share/"

// Split takes a subscription's filter apart: the name of the group that shares it,
// empty for none, and what topics have to match.
func Split(subscribed string) (share, filter string) {
	rest, shared := strings.CutPrefix(subscribed, sharePrefix)
	if !shared {
		return "", subscribed
	}
	share, filter, _ = strings.Cut(rest, "/")
	return share, filter
}

// CheckSubscribed returns an error of code [penstock.Invalid] for what nobody can
// subscribe to.
func CheckSubscribed(subscribed string) error {
	share, filter := Split(subscribed)
	if strings.HasPrefix(subscribed, sharePrefix) {
		if err := checkLength("filter", subscribed); err != nil {
			return err
		}
		if share == "" || strings.ContainsAny(share, "+#") {
			return penstock.Errorf(penstock.Invalid, "the filter %.80q shares with a group that has no name: write $share/NAME/FILTER", subscribed)
		}
	}
	return Check(filter)
}
