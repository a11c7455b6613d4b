/*
 * A client of the Penstock link protocol for microcontrollers, in C99.
 *
 * It allocates nothing and needs string.h alone. What it needs of the world
 * comes in through callbacks: a way to write bytes, a clock, random numbers, and
 * AES-256-GCM where datagrams are sealed. Reports wait in memory that the caller
 * gives, until the gateway says that they are committed.
 *
 * docs/link-protocol.md describes the protocol, README.md beside this file the use.
 * No function may be called from an interrupt, or from two threads at once.
 */
#ifndef PENSTOCK_LINK_H
#define PENSTOCK_LINK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Frames ---------------------------------------------------------------- */

enum {
    PENSTOCK_FRAME_OVERHEAD = 14,      /* a frame without its payload */
    PENSTOCK_SEAL_OVERHEAD = 22 + 16,  /* a sealed datagram without its frames */
    PENSTOCK_MAX_PAYLOAD = 1 << 20
};

/* The kinds of frames. */
enum {
    PENSTOCK_HELLO = 0x01,
    PENSTOCK_DATA = 0x02,
    PENSTOCK_HEARTBEAT = 0x03,
    PENSTOCK_TIME_REQUEST = 0x04,
    PENSTOCK_OVER = 0x05,
    PENSTOCK_BYE = 0x06,
    PENSTOCK_WELCOME = 0x11,
    PENSTOCK_ACK = 0x12,
    PENSTOCK_REFUSAL = 0x13,
    PENSTOCK_TIME_ANSWER = 0x14,
    PENSTOCK_TURN = 0x15,
    PENSTOCK_GATEWAY_BYE = 0x16
};

/* Why a frame is refused, by the names in the specification. */
enum {
    PENSTOCK_SHORT = 0, /* not whole yet */
    PENSTOCK_E_HEADER = -1,
    PENSTOCK_E_VERSION = -2,
    PENSTOCK_E_LENGTH = -3,
    PENSTOCK_E_FEATURE = -4,
    PENSTOCK_E_CHECKSUM = -5, /* damaged, or another kind of CRC-32 */
    PENSTOCK_E_KIND = -6,
    PENSTOCK_E_PAYLOAD = -7,
    PENSTOCK_E_COBS = -8,
    PENSTOCK_E_SEAL = -9,
    PENSTOCK_E_REPLAY = -10
};

typedef struct {
    uint8_t kind;
    uint8_t features;
    uint16_t address;
    const uint8_t *payload; /* a part of what was read */
    uint32_t size;          /* of the payload */
} penstock_frame;

/*
 * penstock_frame_read reads the frame at the start of b. It returns its size,
 * PENSTOCK_SHORT when it is not whole, or why it is refused. Limit is the largest
 * payload that is taken.
 */
long penstock_frame_read(const uint8_t *b, size_t n, uint32_t limit, penstock_frame *f);

/*
 * penstock_frame_write writes a frame around the payload that stands at b + 10. It
 * returns the frame's size. There must be room for size + 14 bytes.
 */
size_t penstock_frame_write(uint8_t *b, uint8_t kind, uint16_t address, uint32_t size);

uint16_t penstock_crc16(const uint8_t *b, size_t n);             /* CRC-16/DNP */
uint32_t penstock_crc32(const uint8_t *b, size_t n, int castagnoli); /* CRC-32/ISO-HDLC or CRC-32C */

/*
 * penstock_cobs_encode writes n bytes in COBS, and the 0x00 that ends them, and
 * returns how many bytes that are: at most n + n / 254 + 2. Out may be the same
 * buffer as in when it begins n / 254 + 2 bytes before it.
 */
size_t penstock_cobs_encode(uint8_t *out, const uint8_t *in, size_t n);

/* penstock_cobs_decode undoes COBS in place and returns the size, or PENSTOCK_E_COBS. */
long penstock_cobs_decode(uint8_t *b, size_t n);

/* ---- Reports --------------------------------------------------------------- */

enum { /* kinds of values */
    PENSTOCK_NONE = 0,
    PENSTOCK_FLOAT64 = 1,
    PENSTOCK_INT64 = 2,
    PENSTOCK_UINT64 = 3,
    PENSTOCK_BOOL = 4,
    PENSTOCK_TEXT = 5
};

#define PENSTOCK_GOOD 0u                      /* status codes of OPC UA */
#define PENSTOCK_BAD_SENSOR_FAILURE 0x808C0000u

/* One value of one point. Fill it with zeros first. */
typedef struct {
    const char *point; /* name, at most 128 bytes */
    const char *unit;  /* UCUM, NULL for none */
    int64_t time;      /* nanoseconds since 1970 UTC on the controller's clock */
    uint32_t status;   /* OPC UA StatusCode; bad where kind is PENSTOCK_NONE */
    uint32_t native;   /* quality bits of the controller's own, 0 for none */
    uint8_t flags;     /* 4: historical, sent after an outage */
    uint8_t kind;
    union {
        double f; /* IEEE 754 of 64 bits */
        int64_t i;
        uint64_t u;     /* PENSTOCK_UINT64, and PENSTOCK_BOOL as 0 or 1 */
        const char *s;  /* PENSTOCK_TEXT */
    } value;
    uint16_t row; /* the encoder's own */
} penstock_sample;

/*
 * penstock_report_encode writes a report of count samples and returns its size, 0
 * when there is no room. A report without samples says that its number will not come.
 */
size_t penstock_report_encode(uint8_t *out, size_t room, const char *controller, uint64_t epoch, uint64_t seq,
                              penstock_sample *samples, size_t count);

/* ---- The client ------------------------------------------------------------ */

enum { /* carriers */
    PENSTOCK_STREAM = 0,   /* TLS on TCP: loses nothing as long as it stands */
    PENSTOCK_DATAGRAM = 1, /* UDP: each write is one datagram */
    PENSTOCK_SERIAL = 2    /* COBS, ended by 0x00 */
};

enum { /* what becomes of a report that was refused */
    PENSTOCK_LATER = 0,   /* it is kept and goes again */
    PENSTOCK_SETTLED = 1, /* it is given up: the gateway will not have it */
    PENSTOCK_HOLLOW = 2   /* it is given up, and an empty one goes under its number */
};

enum { /* signals of a modem */
    PENSTOCK_RSSI = 1,        /* dBm */
    PENSTOCK_SNR = 2,         /* dB */
    PENSTOCK_RSRP = 3,        /* dBm */
    PENSTOCK_RSRQ = 4,        /* dB */
    PENSTOCK_OPTICAL = 5,     /* received power, dBm */
    PENSTOCK_ATTENUATION = 6, /* dB */
    PENSTOCK_MAX_SIGNALS = 8
};

typedef struct {
    uint8_t kind;
    int32_t tenths; /* of its unit: -735 is -73.5 dBm */
} penstock_signal;

typedef struct {
    void *user; /* first argument of every callback */

    /* Writes bytes to the carrier, all or none; returns 1 when it took them. */
    int (*write)(void *user, const uint8_t *b, size_t n);
    /* Milliseconds from any start; may wrap around. */
    uint32_t (*now)(void *user);
    uint32_t (*random)(void *user);
    /*
     * AES-256-GCM in place under the key of this controller: encrypts data and sets
     * tag, or verifies tag and decrypts. Returns 1 when that went well. NULL where
     * datagrams are not sealed.
     */
    int (*gcm)(void *user, int encrypt, const uint8_t nonce[12], const uint8_t *associated, size_t associated_size,
               uint8_t *data, size_t size, uint8_t tag[16]);
    /* A report (seq > 0) or the session (seq 0) was refused. NULL where nobody asks. */
    void (*refused)(void *user, uint64_t seq, int verdict, const char *reason, const char *text);
    /* The gateway's clock, from a welcome: nanoseconds since 1970 UTC. NULL where nobody asks. */
    void (*time)(void *user, int64_t gateway);
    /* The controller's own clock, nanoseconds since 1970 UTC, for penstock_link_ask_time. NULL where it has none. */
    int64_t (*clock)(void *user);
    /*
     * The answer to penstock_link_ask_time: the controller's clock is behind the gateway's
     * by so many nanoseconds (ahead where that is negative), give or take margin. Needs clock.
     */
    void (*behind)(void *user, int64_t by, int64_t margin);
    /* What the modem says now, each kind once; returns how many it set. NULL where there is no modem to ask. */
    size_t (*signals)(void *user, penstock_signal signals[PENSTOCK_MAX_SIGNALS]);

    const char *controller; /* name */
    const char *token;      /* NULL where the carrier says who it is */
    const char *client;     /* name and version of the program, NULL for none */
    uint64_t epoch;         /* 0 asks the gateway for one */
    uint16_t address;       /* 0 where the controller is alone on its carrier */
    uint8_t carrier;
    uint8_t polled; /* 1: speaks only when the gateway gives it the turn */

    uint8_t key_id[8]; /* of sealed datagrams */
    uint64_t boot;     /* greater than at any start before; 0 asks the gateway, where gcm is set */

    uint8_t *memory; /* where reports wait: 12 bytes each, and their encoding */
    size_t memory_size;
    uint8_t *in; /* the largest frame that is taken, 64 bytes more, and 1 in 254 */
    size_t in_size;
    uint8_t *out; /* the largest frame that is sent, 64 bytes more, and 1 in 254 */
    size_t out_size;
} penstock_config;

typedef struct { /* which datagrams of a gateway's start came */
    uint64_t boot;
    uint32_t next;
    uint32_t bits[8];
} penstock_guard;

/* The client. Its fields are its own; those above the line may be read. */
typedef struct {
    uint64_t epoch;     /* 0 while it is asked for */
    uint64_t newest;    /* number of the newest report, 0 for none */
    uint64_t accepted;  /* what this gateway has, without a gap */
    uint64_t committed; /* what is in the record, without a gap */
    uint32_t waiting;   /* reports in memory */
    uint8_t open;       /* the session takes reports */
    uint8_t lost;       /* the session is over: close a stream, and connect anew */
    uint8_t behind;     /* the gateway knows later reports than this controller: take a new epoch */
    /* ------------------------------------------------------------------------ */
    penstock_config c;
    size_t used; /* bytes of memory */
    size_t filled; /* bytes of in */
    uint32_t counter;
    uint32_t window, largest, heartbeat;
    uint32_t heard, said, retry_at, backoff;
    uint32_t smoothed, deviation, quiet_since, acked_at;
    uint64_t ask_mark; /* what is accepted and waits for its commit, 0 for nothing */
    uint32_t ask_since, ask_at, ask_pause, usual, unusual;
    uint32_t cwnd;
    int32_t budget;
    uint8_t connected, greeting, doublings, acked_any, skip, question, evict, asked, time_due, time_asked;
    int64_t asked_at; /* on the controller's clock */
    penstock_guard gateways[4];
} penstock_link;

/* penstock_link_init makes a client; it keeps the strings and buffers of the configuration. */
void penstock_link_init(penstock_link *l, const penstock_config *c);

/* penstock_link_connected says that the carrier stands; penstock_link_disconnected that it broke. */
void penstock_link_connected(penstock_link *l);
void penstock_link_disconnected(penstock_link *l);

/*
 * penstock_link_offer keeps a report until it is committed, and returns its number.
 * It returns 0 when there is no room, or no epoch yet: then the samples are not kept,
 * and the caller has to decide what is dropped.
 */
uint64_t penstock_link_offer(penstock_link *l, penstock_sample *samples, size_t count);

/* penstock_link_receive takes what the carrier brought: any piece of a stream or a line, or a whole datagram. */
void penstock_link_receive(penstock_link *l, const uint8_t *b, size_t n);

/*
 * penstock_link_ask_time has the next step of an open session ask for the gateway's
 * time; the callback behind gets the answer. Like any frame it may be lost on the way:
 * ask again when nothing came for some seconds.
 */
void penstock_link_ask_time(penstock_link *l);

/*
 * penstock_link_step sends what is due, and returns after how many milliseconds to
 * call it again at the latest. Call it also after each receive and offer.
 */
uint32_t penstock_link_step(penstock_link *l);

#ifdef __cplusplus
}
#endif
#endif
