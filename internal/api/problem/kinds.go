package problem

import (
	"net/http"

	"github.com/penstock/penstock"
)

// The kinds of problem, one table for answers, for /problems/ and for the
// OpenAPI document.
var (
	Internal = &Kind{"internal", http.StatusInternalServerError, "The gateway failed", "internal",
		"Send the request again. If it fails again, tell the operator of the gateway the time of the request."}
	Invalid = &Kind{"invalid", http.StatusBadRequest, "The request breaks a rule", "invalid",
		"Correct the request as the detail says. Sending it again unchanged will not help."}
	Corrupt = &Kind{"corrupt", http.StatusBadRequest, "The checksum does not hold", "corrupt",
		"Send the report again. If it fails again, compute CRC-32/ISO-HDLC over the body exactly as it is sent, after compression."}
	Unauthenticated = &Kind{"unauthenticated", http.StatusUnauthorized, "No valid credential", "unauthenticated",
		"Send the header Authorization: Bearer TOKEN with a token that the gateway gave, or a client certificate that it knows."}
	Forbidden = &Kind{"forbidden", http.StatusForbidden, "Outside the credential's rights", "forbidden",
		"Use a credential whose role and scope cover the request, or have an admin add one."}
	CrossOrigin = &Kind{"cross-origin", http.StatusForbidden, "A request from another site", "cross_origin",
		"Send the request from a program or from the gateway's own pages, not from a page of another site."}
	NotFound = &Kind{"not-found", http.StatusNotFound, "Not there", "not_found",
		"Look at /openapi.json for the paths, and at the name or id in the path."}
	Method = &Kind{"method-not-allowed", http.StatusMethodNotAllowed, "The path has no such method", "method_not_allowed",
		"Use one of the methods in the header Allow."}
	NotAcceptable = &Kind{"not-acceptable", http.StatusNotAcceptable, "None of the media types asked for", "not_acceptable",
		"Ask for application/json, application/x-ndjson or text/csv, or send no header Accept."}
	Timeout = &Kind{"timeout", http.StatusRequestTimeout, "The body came too slowly", "timeout",
		"Send the request again. Over a slow link send less at once."}
	Conflict = &Kind{"conflict", http.StatusConflict, "Known with another content", "conflict",
		"Give new content a new identity. What was stored first stays."}
	TooLarge = &Kind{"too-large", http.StatusRequestEntityTooLarge, "Too large", "too_large",
		"Send fewer reports at once, or NDJSON, which may be of any length."}
	Unsupported = &Kind{"unsupported", http.StatusUnsupportedMediaType, "A format that the gateway does not know", "unsupported",
		"Send application/json, application/x-ndjson or application/vnd.penstock.reports, plain or with Content-Encoding: gzip."}
	KeyReused = &Kind{"idempotency-key-reused", http.StatusUnprocessableEntity, "The Idempotency-Key was used with another body", "key_reused",
		"Give new content a new Idempotency-Key. A resend must have the same body as the first request."}
	HeaderTooLarge = &Kind{"header-too-large", http.StatusRequestHeaderFieldsTooLarge, "The header is too large", "header_too_large",
		"Send fewer and shorter header fields and a shorter address."}
	Limited = &Kind{"limited", http.StatusTooManyRequests, "Over a limit of rate", "limited",
		"Wait as long as the header Retry-After says, then send again."}
	Unavailable = &Kind{"unavailable", http.StatusServiceUnavailable, "Not now", "unavailable",
		"Wait as long as the header Retry-After says, then send again. Nothing was promised about this request."}
	Full = &Kind{"full", http.StatusServiceUnavailable, "No room", "full",
		"Wait as long as the header Retry-After says, then send again. The operator must look at the spool and at the record."}
)

// Kinds returns all kinds in the order of their slugs' meaning.
func Kinds() []*Kind {
	return []*Kind{
		Internal, Invalid, Corrupt, Unauthenticated, Forbidden, CrossOrigin, NotFound, Method, NotAcceptable,
		Timeout, Conflict, TooLarge, Unsupported, KeyReused, HeaderTooLarge, Limited, Unavailable, Full,
	}
}

func kindOf(c penstock.Code) *Kind {
	switch c {
	case penstock.Invalid:
		return Invalid
	case penstock.Corrupt:
		return Corrupt
	case penstock.Unauthenticated:
		return Unauthenticated
	case penstock.Forbidden:
		return Forbidden
	case penstock.NotFound:
		return NotFound
	case penstock.Conflict:
		return Conflict
	case penstock.TooLarge:
		return TooLarge
	case penstock.Limited:
		return Limited
	case penstock.Unavailable, penstock.Closed:
		return Unavailable
	case penstock.Full:
		return Full
	case penstock.Unsupported:
		return Unsupported
	}
	return Internal
}
