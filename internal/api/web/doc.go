// Package web takes requests through one table of routes: who may call, which
// parameters there are, what the answer is. The same table gives the OpenAPI
// document. Every error becomes a problem, every answer carries the security
// headers, and everything that a caller can make grow has a limit.
//
// The document comes from huma's schemas, and requests do not go through huma's
// handlers: those take duplicate and case-folded keys of JSON, and the form of their
// errors can be changed for the whole process only.
package web
