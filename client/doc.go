// Package client is what a Go program at the edge uses to send samples to a
// Penstock gateway. It keeps every report in an outbox on its own disk until the
// gateway's record has it, so that neither a power cut nor a week without a
// network loses one, and none is stored twice.
//
//	c, err := client.Open(client.Options{
//		Controller: "pump-17",
//		Gateway:    "link://gateway.example.org:5427",
//		Token:      token,
//		Dir:        "/var/lib/pump-17/outbox",
//	})
//	…
//	id, err := c.Offer(penstock.Sample{Point: "flow", SourceTime: time.Now().UnixNano(), Value: penstock.FloatValue(12.5)})
//
// [Client.Offer] returns when the report is on the disk, and the client delivers
// it as soon as it can; [Client.Send] also waits until the gateway has it.
//
// # What is guaranteed
//
// What Offer returned without an error is delivered, once, as long as the disk
// keeps it and there is room: see [Policy] for what happens when there is none. A
// report is forgotten when it is at or below the committed watermark, and not when
// it was merely accepted: a gateway that is lost for ever costs a resend. When the
// outbox itself is lost or damaged a new epoch begins, and what is missing is
// told as numbers that will not come.
package client
