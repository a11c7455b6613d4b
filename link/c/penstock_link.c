#include "penstock_link.h"

#include <string.h>

/* ---- Checksums ------------------------------------------------------------- */

uint16_t penstock_crc16(const uint8_t *b, size_t n)
{
    static const uint16_t table[16] = {
        0x0000, 0xb26b, 0x29af, 0x9bc4, 0x535e, 0xe135, 0x7af1, 0xc89a,
        0xa6bc, 0x14d7, 0x8f13, 0x3d78, 0xf5e2, 0x4789, 0xdc4d, 0x6e26,
    };
    uint16_t crc = 0;
    while (n-- > 0) {
        crc = (uint16_t)(crc ^ *b++);
        crc = (uint16_t)(crc >> 4 ^ table[crc & 15]);
        crc = (uint16_t)(crc >> 4 ^ table[crc & 15]);
    }
    return (uint16_t)~crc;
}

uint32_t penstock_crc32(const uint8_t *b, size_t n, int castagnoli)
{
    static const uint32_t table[2][16] = {
        {
            0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
            0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
        },
        {
            0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
            0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
        },
    };
    const uint32_t *t = table[castagnoli != 0];
    uint32_t crc = 0xffffffff;
    while (n-- > 0) {
        crc ^= *b++;
        crc = crc >> 4 ^ t[crc & 15];
        crc = crc >> 4 ^ t[crc & 15];
    }
    return ~crc;
}

/* ---- Writing --------------------------------------------------------------- */

/* A writer stops at the end of its room, and remembers that it had to. */
typedef struct {
    uint8_t *b;
    size_t n, room;
    int full;
} writer;

static void put_bytes(writer *w, const void *p, size_t n)
{
    if (n > w->room - w->n) {
        w->full = 1;
    } else if (n > 0) {
        memcpy(w->b + w->n, p, n);
        w->n += n;
    }
}

static void put_byte(writer *w, uint8_t v) { put_bytes(w, &v, 1); }

static void put_uvarint(writer *w, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        put_byte(w, (uint8_t)(v | 0x80));
    put_byte(w, (uint8_t)v);
}

static uint64_t zigzag(int64_t v) { return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0); }

static void put_fixed(writer *w, uint64_t v, int bytes)
{
    for (; bytes > 0; bytes--, v >>= 8)
        put_byte(w, (uint8_t)v);
}

static void put_string(writer *w, const char *s)
{
    size_t n = s ? strlen(s) : 0;
    put_uvarint(w, n);
    put_bytes(w, s, n);
}

static uint64_t get_fixed(const uint8_t *b, int bytes)
{
    uint64_t v = 0;
    while (bytes-- > 0)
        v = v << 8 | b[bytes];
    return v;
}

/* ---- Reading --------------------------------------------------------------- */

/* A reader that met something wrong gives zeros from there on. */
typedef struct {
    const uint8_t *b, *end;
    int bad;
} reader;

static uint8_t get_byte(reader *r)
{
    if (r->bad || r->b == r->end) {
        r->bad = 1;
        return 0;
    }
    return *r->b++;
}

static uint64_t get_uvarint(reader *r)
{
    uint64_t v = 0;
    int i;
    for (i = 0; i < 10; i++) {
        uint8_t b = get_byte(r);
        if (i == 9 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            if (b == 0 && i > 0)
                break; /* not the shortest form */
            return r->bad ? 0 : v;
        }
    }
    r->bad = 1;
    return 0;
}

/* get_sequence reads an epoch or a seq. */
static uint64_t get_sequence(reader *r)
{
    uint64_t v = get_uvarint(r);
    if (v >> 53) {
        r->bad = 1;
        return 0;
    }
    return v;
}

static uint64_t get_fixed64(reader *r)
{
    if (r->bad || r->end - r->b < 8) {
        r->bad = 1;
        return 0;
    }
    r->b += 8;
    return get_fixed(r->b - 8, 8);
}

/* get_milliseconds reads a time span; longer ones than a day are a day. */
static uint32_t get_milliseconds(reader *r)
{
    uint64_t v = get_uvarint(r);
    return v > 86400000u ? 86400000u : (uint32_t)v;
}

/* get_text copies a string of at most limit bytes, and ends it with a zero. */
static void get_text(reader *r, char *to, size_t limit)
{
    uint64_t n = get_uvarint(r);
    to[0] = 0;
    if (r->bad || n > limit || n > (size_t)(r->end - r->b)) {
        r->bad = 1;
        return;
    }
    memcpy(to, r->b, (size_t)n);
    to[n] = 0;
    r->b += n;
}

static int whole(const reader *r) { return !r->bad && r->b == r->end; }

/* ---- Frames ---------------------------------------------------------------- */

static int known_kind(uint8_t k) { return (k >= 0x01 && k <= 0x06) || (k >= 0x11 && k <= 0x16); }

long penstock_frame_read(const uint8_t *b, size_t n, uint32_t limit, penstock_frame *f)
{
    uint32_t size;
    if (n < 10)
        return PENSTOCK_SHORT;
    if (penstock_crc16(b, 8) != get_fixed(b + 8, 2))
        return PENSTOCK_E_HEADER;
    if (b[0] != 1)
        return PENSTOCK_E_VERSION;
    size = (uint32_t)get_fixed(b + 5, 3);
    if (size > limit || size > PENSTOCK_MAX_PAYLOAD)
        return PENSTOCK_E_LENGTH;
    if (n < size + (size_t)PENSTOCK_FRAME_OVERHEAD)
        return PENSTOCK_SHORT;
    if (b[1] & ~1)
        return PENSTOCK_E_FEATURE;
    if (penstock_crc32(b, size + 10, b[1] & 1) != get_fixed(b + 10 + size, 4))
        return PENSTOCK_E_CHECKSUM;
    if (!known_kind(b[2]))
        return PENSTOCK_E_KIND;
    f->kind = b[2];
    f->features = b[1];
    f->address = (uint16_t)get_fixed(b + 3, 2);
    f->payload = b + 10;
    f->size = size;
    return (long)size + PENSTOCK_FRAME_OVERHEAD;
}

size_t penstock_frame_write(uint8_t *b, uint8_t kind, uint16_t address, uint32_t size)
{
    writer w = {0};
    w.b = b;
    w.room = size + (size_t)PENSTOCK_FRAME_OVERHEAD;
    put_byte(&w, 1);
    put_byte(&w, 0);
    put_byte(&w, kind);
    put_fixed(&w, address, 2);
    put_fixed(&w, size, 3);
    put_fixed(&w, penstock_crc16(b, 8), 2);
    w.n += size;
    put_fixed(&w, penstock_crc32(b, w.n, 0), 4);
    return w.n;
}

size_t penstock_cobs_encode(uint8_t *out, const uint8_t *in, size_t n)
{
    size_t at = 0, code = 0; /* code is where the length of the run goes */
    size_t i;
    uint8_t run = 1;
    at = 1;
    for (i = 0; i < n; i++) {
        uint8_t v = in[i];
        if (v != 0) {
            out[at++] = v;
            run++;
        }
        if (v == 0 || (run == 255 && i + 1 < n)) {
            out[code] = run;
            code = at++;
            run = 1;
        }
    }
    out[code] = run;
    out[at++] = 0;
    return at;
}

long penstock_cobs_decode(uint8_t *b, size_t n)
{
    size_t i = 0, at = 0;
    while (i < n) {
        size_t code = b[i];
        if (code == 0 || code > n - i)
            return PENSTOCK_E_COBS;
        memmove(b + at, b + i + 1, code - 1);
        at += code - 1;
        i += code;
        if (code < 255 && i < n)
            b[at++] = 0;
    }
    return (long)at;
}

/* ---- Reports --------------------------------------------------------------- */

static int same(const char *a, const char *b)
{
    if (a == b)
        return 1;
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* find_row returns the tag's bits for the sample's point, and gives the sample its row in the table of points. */
static uint8_t find_row(penstock_sample *samples, size_t i, uint16_t *rows)
{
    size_t k;
    uint16_t next = (uint16_t)(i > 0 ? samples[i - 1].row + 1 : 0);
    if (next >= *rows)
        next = 0;
    for (k = 0; k < i; k++) {
        if (same(samples[k].point, samples[i].point) && same(samples[k].unit, samples[i].unit)) {
            samples[i].row = samples[k].row;
            return samples[i].row == next ? 0x00 : 0x08;
        }
    }
    samples[i].row = (*rows)++;
    return 0x10;
}

static void put_value(writer *w, const penstock_sample *s)
{
    uint64_t bits = 0;
    switch (s->kind) {
    case PENSTOCK_FLOAT64:
        memcpy(&bits, &s->value.f, sizeof s->value.f < 8 ? sizeof s->value.f : 8);
        put_fixed(w, bits, 8);
        break;
    case PENSTOCK_INT64:
        put_uvarint(w, zigzag(s->value.i));
        break;
    case PENSTOCK_UINT64:
        put_uvarint(w, s->value.u);
        break;
    case PENSTOCK_BOOL:
        put_byte(w, s->value.u != 0);
        break;
    case PENSTOCK_TEXT:
        put_string(w, s->value.s);
        break;
    default:
        break;
    }
}

static void put_sample(writer *w, penstock_sample *samples, size_t i, uint16_t *rows)
{
    static const penstock_sample zero; /* the sample before the first */
    const penstock_sample *s = &samples[i], *last = i > 0 ? s - 1 : &zero;
    uint8_t tag = (uint8_t)(s->kind | find_row(samples, i, rows));
    if (s->time != last->time)
        tag |= 0x20;
    if (s->status != last->status)
        tag |= 0x40;
    if (s->native != last->native || s->flags != last->flags)
        tag |= 0x80;
    put_byte(w, tag);
    if ((tag & 0x18) == 0x08)
        put_uvarint(w, s->row);
    if ((tag & 0x18) == 0x10) {
        put_string(w, s->point);
        put_string(w, s->unit);
    }
    if (tag & 0x20) {
        uint64_t delta = (uint64_t)s->time - (uint64_t)last->time;
        put_uvarint(w, delta << 1 ^ (delta >> 63 ? UINT64_MAX : 0));
    }
    if (tag & 0x40)
        put_fixed(w, s->status, 4);
    if (tag & 0x80) {
        put_uvarint(w, s->native);
        put_byte(w, s->flags);
    }
    put_value(w, s);
}

size_t penstock_report_encode(uint8_t *out, size_t room, const char *controller, uint64_t epoch, uint64_t seq,
                              penstock_sample *samples, size_t count)
{
    uint8_t head[12]; /* version, features, length */
    writer body = {0}, front = {0};
    uint16_t rows = 0;
    size_t i;
    if (count > 65535)
        return 0;
    body.b = out;
    body.room = room;
    put_byte(&body, 2);
    put_uvarint(&body, epoch);
    put_uvarint(&body, seq);
    put_string(&body, controller);
    put_uvarint(&body, count);
    for (i = 0; i < count && !body.full; i++)
        put_sample(&body, samples, i, &rows);
    front.b = head;
    front.room = sizeof head;
    put_byte(&front, 1);
    put_byte(&front, 0);
    put_uvarint(&front, body.n);
    if (body.full || body.n + front.n > room || body.n + front.n > PENSTOCK_MAX_PAYLOAD)
        return 0;
    memmove(out + front.n, out, body.n);
    memcpy(out, head, front.n);
    return body.n + front.n;
}

/* ---- The queue of reports -------------------------------------------------- */

enum { WAITS, IN_FLIGHT, DELAYED, DONE };
enum { REPORT_COST = 64 }; /* what a report counts beside its bytes */

typedef struct {
    uint32_t size; /* of the encoding, which follows */
    uint32_t at;   /* when it was sent; when it goes again, if delayed */
    uint8_t fate, again, hollow, unused;
} record;

static record load(const penstock_link *l, size_t at)
{
    record r;
    memcpy(&r, l->c.memory + at, sizeof r);
    return r;
}

static void store(penstock_link *l, size_t at, const record *r) { memcpy(l->c.memory + at, r, sizeof *r); }

static size_t after(size_t at, const record *r) { return at + sizeof *r + r->size; }

/* oldest returns the number of the first report in memory. */
static uint64_t oldest(const penstock_link *l) { return l->newest - l->waiting + 1; }

/* forget drops what is committed. */
static void forget(penstock_link *l)
{
    size_t at = 0;
    while (l->waiting > 0 && oldest(l) <= l->committed) {
        record r = load(l, at);
        at = after(at, &r);
        l->waiting--;
    }
    if (at > 0) {
        memmove(l->c.memory, l->c.memory + at, l->used - at);
        l->used -= at;
    }
}

/* flight returns what is in flight, as it counts against the window. */
static uint32_t flight(const penstock_link *l)
{
    size_t at;
    uint32_t cost = 0;
    record r;
    for (at = 0; at < l->used; at = after(at, &r)) {
        r = load(l, at);
        if (r.fate == IN_FLIGHT)
            cost += r.size + REPORT_COST;
    }
    return cost;
}

uint64_t penstock_link_offer(penstock_link *l, penstock_sample *samples, size_t count)
{
    record r = {0};
    size_t start = l->used + sizeof r;
    if (l->epoch == 0 || start > l->c.memory_size)
        return 0;
    r.size = (uint32_t)penstock_report_encode(l->c.memory + start, l->c.memory_size - start, l->c.controller, l->epoch,
                                              l->newest + 1, samples, count);
    /* A report that fits into no frame would wait for ever. */
    if (r.size == 0 || r.size > l->largest)
        return 0;
    store(l, l->used, &r);
    l->used = after(l->used, &r);
    l->waiting++;
    return ++l->newest;
}

/* ---- Time ------------------------------------------------------------------ */

static uint32_t now(penstock_link *l) { return l->c.now(l->c.user); }

/* due tells whether a time has come; times are less than 2^31 ms apart. */
static int due(uint32_t time, uint32_t at) { return (int32_t)(time - at) >= 0; }

static uint32_t jitter(penstock_link *l, uint32_t ms) { return ms - l->c.random(l->c.user) % (ms / 2 + 1); }

/* rest ends the session until the back-off, or what the gateway said, is over. */
static void rest(penstock_link *l, uint32_t retry)
{
    uint32_t wait;
    l->backoff = l->backoff == 0 ? 1000 : l->backoff >= 30000 ? 60000 : 2 * l->backoff;
    wait = jitter(l, l->backoff);
    l->open = 0;
    l->greeting = 0;
    l->retry_at = now(l) + (retry > wait ? retry : wait);
}

/* timeout returns how long nothing may be heard of a report. */
static uint32_t timeout(const penstock_link *l)
{
    uint32_t t = 1000;
    if (l->smoothed)
        t = l->smoothed + 4 * l->deviation;
    if (t < 200)
        t = 200;
    if (t > UINT32_C(60000) >> l->doublings)
        return 60000;
    return t << l->doublings;
}

/* measure takes one more measurement, weighed as TCP weighs round trips. */
static void measure(uint32_t *smoothed, uint32_t *deviation, uint32_t ms)
{
    uint32_t off;
    if (ms < 1)
        ms = 1; /* 0 is: not measured yet */
    off = ms > *smoothed ? ms - *smoothed : *smoothed - ms;
    if (*smoothed == 0) {
        *smoothed = ms;
        *deviation = ms / 2;
        return;
    }
    *deviation = (3 * *deviation + off) / 4;
    *smoothed = (7 * *smoothed + ms + 4) / 8;
}

/* set_question sets the time of the next question. */
static void set_question(penstock_link *l, uint32_t pause)
{
    l->ask_pause = pause < 200 ? 200 : pause;
    if (l->ask_pause > l->heartbeat)
        l->ask_pause = l->heartbeat;
    l->ask_at = now(l) + l->ask_pause;
}

/*
 * wait_for_record sees that the committed mark arrives although acks may be lost:
 * while something is accepted and not committed, heartbeats ask for an ack. What it
 * waits for is the record's usual delay, which it measures. An answer without the
 * mark says that the record is slow: the next question comes twice as late.
 */
static void wait_for_record(penstock_link *l)
{
    uint32_t usual;
    if (l->c.carrier == PENSTOCK_STREAM)
        return; /* it loses no ack */
    if (l->ask_mark != 0 && l->committed >= l->ask_mark) {
        usual = now(l) - l->ask_since;
        measure(&l->usual, &l->unusual, usual < l->heartbeat ? usual : l->heartbeat);
        l->ask_mark = 0;
    }
    if (l->ask_mark == 0 && l->accepted > l->committed) {
        usual = l->usual == 0 ? 1000 : l->usual + 4 * l->unusual;
        l->ask_mark = l->accepted;
        l->ask_since = now(l);
        l->asked = 0;
        set_question(l, 2 * (l->smoothed == 0 ? 1000 : l->smoothed) + usual);
    } else if (l->ask_mark != 0 && l->asked) {
        l->asked = 0;
        set_question(l, 2 * l->ask_pause);
    }
}

/*
 * question tells whether it is time to ask, and then sets the time of the next. No
 * answer to the last says that a frame was lost: the next comes only a little later.
 */
static int question(penstock_link *l)
{
    if (l->ask_mark == 0 || !due(now(l), l->ask_at))
        return 0;
    set_question(l, l->asked ? l->ask_pause + l->ask_pause / 4 : l->ask_pause);
    l->asked = 1;
    return 1;
}

/* ---- Sealing --------------------------------------------------------------- */

static const uint64_t question_bit = (uint64_t)1 << 63;

static uint64_t boot_field(const penstock_link *l) { return l->question ? l->c.boot | question_bit : l->c.boot; }

/* seal turns size bytes of frames at b + 22 into a datagram at b and returns its size, 0 when that failed. */
static size_t seal(penstock_link *l, uint8_t *b, size_t size)
{
    writer w = {0};
    w.b = b;
    w.room = 22;
    put_byte(&w, 0x81);
    put_byte(&w, 0);
    put_bytes(&w, l->c.key_id, 8);
    put_fixed(&w, boot_field(l), 8);
    put_fixed(&w, l->counter, 4);
    if (++l->counter >> 31) {
        l->counter = 0;
        l->c.boot++;
    }
    if (!l->c.gcm(l->c.user, 1, b + 10, b, 22, b + 22, size, b + 22 + size))
        return 0;
    return size + PENSTOCK_SEAL_OVERHEAD;
}

/* seen tells whether a datagram came before, or is too old to tell. */
static int seen(const penstock_guard *g, uint32_t counter)
{
    if (counter >= g->next)
        return 0;
    return g->next - counter > 256 || (g->bits[counter % 256 / 32] >> counter % 32 & 1);
}

static void note(penstock_guard *g, uint32_t counter)
{
    if (counter >= g->next) {
        if (counter - g->next >= 256) {
            memset(g->bits, 0, sizeof g->bits);
        } else {
            for (; g->next < counter; g->next++)
                g->bits[g->next % 256 / 32] &= ~(UINT32_C(1) << g->next % 32);
        }
        g->next = counter + 1;
    }
    g->bits[counter % 256 / 32] |= UINT32_C(1) << counter % 32;
}

/* unseal opens a datagram in place: the frames then stand at b + 22. It returns their size, or why not. */
static long unseal(penstock_link *l, uint8_t *b, size_t n)
{
    uint8_t associated[30];
    uint64_t boot;
    uint32_t counter;
    penstock_guard *g = NULL;
    writer w = {0};
    int i;
    if (n < PENSTOCK_SEAL_OVERHEAD)
        return PENSTOCK_E_SEAL;
    if (b[0] != 0x81)
        return PENSTOCK_E_VERSION;
    if (b[1] != 0)
        return PENSTOCK_E_FEATURE;
    boot = get_fixed(b + 10, 8);
    counter = (uint32_t)get_fixed(b + 18, 4);
    if (memcmp(b + 2, l->c.key_id, 8) != 0 || !(counter >> 31))
        return PENSTOCK_E_SEAL;
    counter &= 0x7fffffff;
    for (i = 0; i < 4; i++) {
        if (l->gateways[i].next > 0 && l->gateways[i].boot == boot)
            g = &l->gateways[i];
    }
    if (g && seen(g, counter))
        return PENSTOCK_E_REPLAY;
    w.b = associated;
    w.room = sizeof associated;
    put_bytes(&w, b, 22);
    put_fixed(&w, boot_field(l), 8);
    if (!l->c.gcm(l->c.user, 0, b + 10, associated, sizeof associated, b + 22, n - PENSTOCK_SEAL_OVERHEAD, b + n - 16))
        return PENSTOCK_E_SEAL;
    if (!g) {
        g = &l->gateways[l->evict];
        l->evict = (uint8_t)((l->evict + 1) % 4);
        memset(g, 0, sizeof *g);
        g->boot = boot;
    }
    note(g, counter);
    return (long)n - PENSTOCK_SEAL_OVERHEAD;
}

/* ---- Sending --------------------------------------------------------------- */

/* front returns how many bytes of out stand before a frame: for COBS and for the header of a datagram. */
static size_t front(const penstock_link *l)
{
    return (l->c.carrier == PENSTOCK_SERIAL ? l->c.out_size / 254 + 2 : 0) + (l->c.gcm ? 22 : 0);
}

/* room returns the largest payload that out takes. */
static uint32_t room(const penstock_link *l)
{
    size_t taken = front(l) + PENSTOCK_FRAME_OVERHEAD + 16;
    size_t n = l->c.out_size > taken ? l->c.out_size - taken : 0;
    return n > PENSTOCK_MAX_PAYLOAD ? PENSTOCK_MAX_PAYLOAD : (uint32_t)n;
}

/* payload returns a writer for the payload of the next frame. */
static writer payload(penstock_link *l)
{
    writer w = {0};
    w.b = l->c.out + front(l) + 10;
    w.room = room(l);
    return w;
}

/* send sends the frame whose payload was written, and tells whether the carrier took it. */
static int send(penstock_link *l, uint8_t kind, const writer *w)
{
    uint8_t *b = l->c.out + front(l);
    size_t n;
    if (w->full)
        return 0;
    n = penstock_frame_write(b, kind, l->c.address, (uint32_t)w->n);
    if (l->c.gcm) {
        b -= 22;
        n = seal(l, b, n);
        if (n == 0)
            return 0;
    }
    if (l->c.carrier == PENSTOCK_SERIAL) {
        n = penstock_cobs_encode(l->c.out, b, n);
        b = l->c.out;
    }
    if (!l->c.write(l->c.user, b, n))
        return 0;
    if (l->c.polled && kind != PENSTOCK_OVER)
        l->budget = (int32_t)n < l->budget ? l->budget - (int32_t)n : 0;
    l->said = now(l);
    return 1;
}

static void put_signals(penstock_link *l, writer *w)
{
    penstock_signal all[PENSTOCK_MAX_SIGNALS];
    size_t i, n = l->c.signals ? l->c.signals(l->c.user, all) : 0;
    if (n > PENSTOCK_MAX_SIGNALS)
        n = PENSTOCK_MAX_SIGNALS;
    put_uvarint(w, n);
    for (i = 0; i < n; i++) {
        put_byte(w, all[i].kind);
        put_uvarint(w, zigzag(all[i].tenths));
    }
}

static void send_hello(penstock_link *l)
{
    writer w = payload(l);
    put_byte(&w, 1);
    put_byte(&w, 1);
    put_uvarint(&w, 0); /* features */
    put_string(&w, l->c.controller);
    put_uvarint(&w, l->question ? 0 : l->epoch);
    put_byte(&w, l->c.token != NULL);
    if (l->c.token)
        put_string(&w, l->c.token);
    put_string(&w, l->c.client);
    put_signals(l, &w);
    rest(l, 0);         /* which says when to try again */
    l->greeting = (uint8_t)send(l, PENSTOCK_HELLO, &w);
}

static void send_heartbeat(penstock_link *l)
{
    writer w = payload(l);
    put_uvarint(&w, l->newest);
    put_uvarint(&w, l->newest - (l->accepted > l->committed ? l->accepted : l->committed));
    put_signals(l, &w);
    send(l, PENSTOCK_HEARTBEAT, &w);
}

/* around returns what a frame of a few bytes has around it on the line. */
static int32_t around(const penstock_link *l)
{
    return PENSTOCK_FRAME_OVERHEAD + (l->c.gcm ? PENSTOCK_SEAL_OVERHEAD : 0) + 3;
}

static void send_time_request(penstock_link *l)
{
    writer w = payload(l);
    if (l->c.polled && l->budget < around(l) + 8)
        return; /* in the next turn */
    l->asked_at = l->c.clock(l->c.user);
    put_fixed(&w, (uint64_t)l->asked_at, 8);
    l->time_asked = (uint8_t)send(l, PENSTOCK_TIME_REQUEST, &w);
    l->time_due = 0;
}

static void send_over(penstock_link *l)
{
    writer w = payload(l);
    put_uvarint(&w, l->newest - (l->accepted > l->committed ? l->accepted : l->committed));
    send(l, PENSTOCK_OVER, &w);
    l->budget = -1;
}

/* launch marks the reports of a frame as sent: those that wait, from at on, as many as were put in it. */
static void launch(penstock_link *l, size_t at, size_t count)
{
    uint32_t time = now(l);
    if (flight(l) == 0)
        l->quiet_since = time;
    while (count > 0) {
        record r = load(l, at);
        if (r.fate == WAITS) {
            r.fate = IN_FLIGHT;
            if (r.at != 0)
                r.again = 1;
            r.at = time == 0 ? 1 : time; /* 0 is: never sent in this session */
            store(l, at, &r);
            count--;
        }
        at = after(at, &r);
    }
}

/* send_data sends one frame of reports that wait, and tells whether it did. */
static int send_data(penstock_link *l)
{
    writer w = payload(l);
    size_t at, first = 0, count = 0;
    uint32_t cost = flight(l), limit = l->window;
    record r;
    if (l->c.carrier != PENSTOCK_STREAM && l->cwnd < limit)
        limit = l->cwnd;
    if (w.room > l->largest)
        w.room = l->largest;
    if (l->c.polled) { /* what the frame will have around it on the line */
        uint32_t frame = (uint32_t)around(l);
        uint32_t left = (uint32_t)l->budget - (uint32_t)l->budget / 254;
        if (left < frame)
            return 0;
        if (w.room > left - frame)
            w.room = left - frame;
    }
    if (l->window == 0)
        return 0;
    for (at = 0; at < l->used && count < 1024; at = after(at, &r)) {
        r = load(l, at);
        if (r.fate != WAITS)
            continue;
        if (cost > 0 && cost + r.size + REPORT_COST > limit)
            break;
        put_bytes(&w, l->c.memory + at + sizeof r, r.size);
        if (w.full)
            break;
        if (count++ == 0)
            first = at;
        cost += r.size + REPORT_COST;
    }
    w.full = 0; /* it only ended the frame */
    if (count == 0 || !send(l, PENSTOCK_DATA, &w))
        return 0;
    launch(l, first, count);
    return 1;
}

/* expire has reports go again whose time is over, and returns how long until the next one's is. */
static uint32_t expire(penstock_link *l)
{
    uint32_t time = now(l), wait = timeout(l), next = UINT32_MAX;
    size_t at;
    record r;
    for (at = 0; at < l->used; at = after(at, &r)) {
        uint32_t end;
        r = load(l, at);
        if (r.fate == DELAYED)
            end = r.at;
        else if (r.fate == IN_FLIGHT && l->c.carrier != PENSTOCK_STREAM)
            end = r.at + wait;
        else
            continue;
        if (due(time, end)) {
            if (r.fate == IN_FLIGHT && due(time, l->quiet_since + wait)) {
                if (l->doublings < 8)
                    l->doublings++;
                l->cwnd = 0; /* one frame */
                l->quiet_since = time;
            }
            r.fate = WAITS;
            store(l, at, &r);
            next = 0;
        } else if (end - time < next) {
            next = end - time;
        }
    }
    return next;
}

static uint32_t until(penstock_link *l, uint32_t at)
{
    uint32_t time = now(l);
    return due(time, at) ? 0 : at - time;
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t talk(penstock_link *l)
{
    uint32_t next, said = l->said;
    int more = 0;
    expire(l);
    if (l->time_due)
        send_time_request(l);
    while (send_data(l))
        more = 1;
    if ((question(l) && !more) || (!more && l->said == said && due(now(l), l->said + l->heartbeat)))
        send_heartbeat(l);
    next = expire(l);
    if (l->ask_mark != 0)
        next = least(next, until(l, l->ask_at));
    return least(next, least(until(l, l->said + l->heartbeat), until(l, l->heard + 3 * l->heartbeat)));
}

uint32_t penstock_link_step(penstock_link *l)
{
    uint32_t next = UINT32_MAX;
    if (!l->connected)
        return next;
    if (l->open && due(now(l), l->heard + 3 * l->heartbeat)) {
        l->lost = 1;
        rest(l, 0);
    }
    if (l->lost && l->c.carrier == PENSTOCK_STREAM)
        return next;
    if (l->c.polled && l->budget < 0)
        return next;
    if (!l->open) {
        if (due(now(l), l->retry_at))
            send_hello(l);
        next = until(l, l->retry_at);
    } else {
        next = talk(l);
    }
    if (l->c.polled)
        send_over(l);
    return next < 1 ? 1 : next;
}

/* ---- Receiving ------------------------------------------------------------- */

/* settle notes that the reports from first to last are settled, and tells whether one of them was news. */
static int settle(penstock_link *l, uint64_t first, uint64_t last)
{
    uint64_t seq = oldest(l);
    uint32_t time = now(l), measured = 0;
    size_t at;
    int news = 0, have = 0;
    record r;
    for (at = 0; at < l->used && seq <= last; at = after(at, &r), seq++) {
        r = load(l, at);
        if (seq < first || r.fate == DONE)
            continue;
        if (r.fate == IN_FLIGHT) {
            if (!l->acked_any || due(r.at, l->acked_at))
                l->acked_at = r.at;
            l->acked_any = 1;
            if (!r.again && (!have || due(r.at, measured))) {
                measured = r.at;
                have = 1;
            }
        }
        r.fate = DONE;
        store(l, at, &r);
        news = 1;
        if (l->cwnd < 1u << 30)
            l->cwnd += r.size + REPORT_COST;
    }
    if (have)
        measure(&l->smoothed, &l->deviation, time - measured);
    if (news) {
        l->quiet_since = time;
        l->doublings = 0;
        l->backoff = 0;
    }
    return news;
}

/* find_lost has those go again that were sent well before something that was settled. */
static void find_lost(penstock_link *l)
{
    uint32_t margin = 4 * l->deviation > l->smoothed / 4 ? 4 * l->deviation : l->smoothed / 4;
    size_t at;
    record r;
    if (!l->acked_any)
        return;
    if (margin < 10)
        margin = 10;
    for (at = 0; at < l->used; at = after(at, &r)) {
        r = load(l, at);
        if (r.fate == IN_FLIGHT && (int32_t)(l->acked_at - r.at) > (int32_t)margin) {
            r.fate = WAITS;
            store(l, at, &r);
        }
    }
}

/* raise moves the marks up. */
static void raise(penstock_link *l, uint64_t accepted, uint64_t committed)
{
    if (accepted > l->accepted)
        l->accepted = accepted;
    if (committed > l->committed)
        l->committed = committed;
    settle(l, 1, l->accepted > l->committed ? l->accepted : l->committed);
    forget(l);
}

static int on_ack(penstock_link *l, reader *r)
{
    reader ahead;
    uint64_t epoch = get_sequence(r), accepted = get_sequence(r), committed = get_sequence(r);
    uint64_t window = get_uvarint(r), count = get_uvarint(r), top = accepted > committed ? accepted : committed, i;
    if (epoch == 0 || count > 32)
        r->bad = 1;
    ahead = *r;
    for (i = 0; i < count && !r->bad; i++) {
        uint64_t gap = get_sequence(r), run = get_sequence(r);
        if (gap == 0 || run == 0 || (top += gap + run) >> 53)
            r->bad = 1;
    }
    if (!whole(r))
        return PENSTOCK_E_PAYLOAD;
    if (!l->open || epoch != l->epoch || top > l->newest)
        return 0;
    l->window = window > UINT32_MAX ? UINT32_MAX : (uint32_t)window;
    top = accepted > committed ? accepted : committed;
    for (i = 0; i < count; i++) { /* before what is below them is forgotten */
        uint64_t gap = get_sequence(&ahead), run = get_sequence(&ahead);
        settle(l, top + gap + 1, top + gap + run);
        top += gap + run;
    }
    raise(l, accepted, committed);
    find_lost(l);
    wait_for_record(l);
    return 0;
}

/* ask_again takes the answer to a hello of epoch 0. */
static void ask_again(penstock_link *l, uint64_t last_epoch, uint64_t last_boot, int64_t time)
{
    uint64_t ms = time > 0 ? (uint64_t)time / 1000000 : 0;
    if (l->epoch == 0)
        l->epoch = last_epoch + 1 > ms ? last_epoch + 1 : ms;
    if (l->question) {
        l->c.boot = last_boot + 1 > ms ? last_boot + 1 : ms;
        l->counter = 0;
        l->question = 0;
    }
    l->greeting = 0;
    l->retry_at = now(l);
}

/* make_hollow puts an empty report in the place of one that was refused. */
static void make_hollow(penstock_link *l, size_t at, record *r, uint64_t seq)
{
    size_t end = after(at, r);
    size_t n = penstock_report_encode(l->c.memory + at + sizeof *r, r->size, l->c.controller, l->epoch, seq, NULL, 0);
    if (n == 0 || r->hollow) { /* it was empty before: there is nothing more to try */
        r->fate = DONE;
        store(l, at, r);
        return;
    }
    r->size = (uint32_t)n;
    r->fate = WAITS;
    r->hollow = 1;
    store(l, at, r);
    memmove(l->c.memory + after(at, r), l->c.memory + end, l->used - end);
    l->used -= end - after(at, r);
}

/* begin_again has every report in memory go in this session. */
static void begin_again(penstock_link *l)
{
    uint64_t seq = oldest(l);
    size_t at;
    record r;
    for (at = 0; at < l->used; at = after(at, &r), seq++) {
        r = load(l, at);
        r.fate = WAITS;
        r.at = 0;
        r.again = 0;
        store(l, at, &r);
        if (r.size > l->largest) { /* this gateway takes smaller frames than the one before */
            if (l->c.refused)
                l->c.refused(l->c.user, seq, PENSTOCK_HOLLOW, "too_large", "the gateway takes smaller reports only");
            make_hollow(l, at, &r, seq);
        }
    }
}

static int on_welcome(penstock_link *l, reader *r)
{
    uint8_t version = get_byte(r), flags;
    uint64_t features = get_uvarint(r), epoch, last_epoch, last_boot, accepted, committed, window, largest;
    uint32_t heartbeat;
    int64_t time;
    flags = get_byte(r);
    epoch = get_sequence(r);
    last_epoch = get_sequence(r);
    last_boot = get_sequence(r);
    accepted = get_sequence(r);
    committed = get_sequence(r);
    time = (int64_t)get_fixed64(r);
    window = get_uvarint(r);
    largest = get_uvarint(r);
    heartbeat = get_milliseconds(r);
    (void)features;
    if (flags & ~1)
        r->bad = 1;
    if (!whole(r))
        return PENSTOCK_E_PAYLOAD;
    if (version != 1 || !l->greeting || epoch != (l->question ? 0 : l->epoch))
        return 0; /* of a hello before */
    if (l->c.time)
        l->c.time(l->c.user, time);
    if (epoch == 0) {
        ask_again(l, last_epoch, last_boot, time);
        return 0;
    }
    if (accepted > l->newest || committed > l->newest) {
        l->behind = 1;
        rest(l, 0);
        return 0;
    }
    l->open = 1;
    l->greeting = 0;
    l->behind = 0;
    l->window = window > UINT32_MAX ? UINT32_MAX : (uint32_t)window;
    l->largest = least(room(l), largest > PENSTOCK_MAX_PAYLOAD ? PENSTOCK_MAX_PAYLOAD : (uint32_t)largest);
    l->heartbeat = heartbeat < 100 ? 100 : heartbeat;
    l->said = now(l);
    l->doublings = 0;
    l->acked_any = 0;
    l->cwnd = 10 * (least(l->largest, 1200) + REPORT_COST);
    /* Another gateway may answer, which has less than the last one accepted. */
    l->accepted = 0;
    begin_again(l);
    raise(l, accepted, committed);
    l->acked_any = 0;
    l->ask_mark = 0;
    wait_for_record(l);
    return 0;
}

static void refuse_report(penstock_link *l, uint64_t refused, uint8_t verdict, uint32_t retry)
{
    uint64_t seq = oldest(l);
    uint32_t wait = jitter(l, 1000);
    size_t at;
    record r;
    for (at = 0; at < l->used; at = after(at, &r), seq++) {
        r = load(l, at);
        if (seq != refused || r.fate == DONE)
            continue;
        if (verdict == PENSTOCK_LATER) {
            r.fate = DELAYED;
            r.at = now(l) + (retry > wait ? retry : wait);
            r.again = 1;
            store(l, at, &r);
        } else if (verdict == PENSTOCK_SETTLED) {
            settle(l, seq, seq);
        } else {
            make_hollow(l, at, &r, seq);
        }
        return;
    }
}

static int on_refusal(penstock_link *l, reader *r)
{
    char reason[33], text[256];
    uint8_t about = get_byte(r), verdict;
    uint64_t epoch = get_sequence(r), seq = get_sequence(r);
    uint32_t retry;
    verdict = get_byte(r);
    get_text(r, reason, 32);
    retry = get_milliseconds(r);
    get_text(r, text, 255);
    if (about > 1 || verdict > 2 || (about == 0 && (epoch || seq || verdict)) || (about == 1 && (!epoch || !seq)))
        r->bad = 1;
    if (!whole(r))
        return PENSTOCK_E_PAYLOAD;
    if (about == 1 && (!l->open || epoch != l->epoch))
        return 0;
    if (l->c.refused)
        l->c.refused(l->c.user, seq, verdict, reason, text);
    if (about == 1) {
        refuse_report(l, seq, verdict, retry);
        return 0;
    }
    l->lost = 1;
    rest(l, retry);
    if (strcmp(reason, "hello") == 0 && l->backoff <= 1000)
        l->retry_at = now(l);
    return 0;
}

static int on_bye(penstock_link *l, reader *r)
{
    char reason[33];
    uint32_t retry;
    get_text(r, reason, 32);
    retry = get_milliseconds(r);
    if (!whole(r))
        return PENSTOCK_E_PAYLOAD;
    l->lost = 1;
    rest(l, retry);
    return 0;
}

static int on_time(penstock_link *l, reader *r)
{
    uint64_t t1 = get_fixed64(r), t2 = get_fixed64(r), t3 = get_fixed64(r), t4;
    if (!whole(r))
        return PENSTOCK_E_PAYLOAD;
    if (!l->time_asked || t1 != (uint64_t)l->asked_at)
        return 0; /* of a request before, or a second time */
    l->time_asked = 0;
    t4 = (uint64_t)l->c.clock(l->c.user);
    l->c.behind(l->c.user, (int64_t)(t2 - t1) / 2 + (int64_t)(t3 - t4) / 2,
                (int64_t)((t4 - t1) - (t3 - t2)) / 2);
    return 0;
}

static int on_turn(penstock_link *l, reader *r)
{
    uint64_t budget = get_uvarint(r);
    if (!whole(r))
        return PENSTOCK_E_PAYLOAD;
    l->budget = budget > PENSTOCK_MAX_PAYLOAD ? PENSTOCK_MAX_PAYLOAD : (int32_t)budget;
    return 0;
}

/* on_frame takes a frame, and returns 0 or why it is refused. */
static int on_frame(penstock_link *l, const penstock_frame *f)
{
    reader r;
    r.b = f->payload;
    r.end = f->payload + f->size;
    r.bad = 0;
    if (!(f->kind & 0x10))
        return PENSTOCK_E_KIND; /* the line sends back what it gets, or another controller speaks */
    if (f->address != l->c.address)
        return 0;
    l->heard = now(l);
    switch (f->kind) {
    case PENSTOCK_WELCOME:
        return on_welcome(l, &r);
    case PENSTOCK_ACK:
        return on_ack(l, &r);
    case PENSTOCK_REFUSAL:
        return on_refusal(l, &r);
    case PENSTOCK_TIME_ANSWER:
        return on_time(l, &r);
    case PENSTOCK_TURN:
        return on_turn(l, &r);
    case PENSTOCK_GATEWAY_BYE:
        return on_bye(l, &r);
    default:
        return 0;
    }
}

/* on_block takes whole frames, or a sealed datagram with frames, which stand in the buffer for input. */
static void on_block(penstock_link *l, size_t n)
{
    uint8_t *b = l->c.in;
    if (l->c.gcm && l->c.polled && !(b[0] & 0x80)) {
        penstock_frame turn; /* the one frame that goes plain on a sealed line, and alone */
        if (penstock_frame_read(b, n, PENSTOCK_MAX_PAYLOAD, &turn) == (long)n && turn.kind == PENSTOCK_TURN)
            on_frame(l, &turn);
        return;
    }
    if (l->c.gcm) {
        long size = unseal(l, b, n);
        if (size < 0)
            return;
        b += 22;
        n = (size_t)size;
    }
    while (n > 0 && l->connected) {
        penstock_frame f;
        long size = penstock_frame_read(b, n, PENSTOCK_MAX_PAYLOAD, &f);
        if (size <= 0)
            return;
        on_frame(l, &f);
        b += size;
        n -= (size_t)size;
    }
}

/* on_line takes a byte of a serial line. */
static void on_line(penstock_link *l, uint8_t v)
{
    long n;
    if (v != 0) {
        if (l->filled < l->c.in_size)
            l->c.in[l->filled++] = v;
        else
            l->skip = 1; /* longer than any frame: drop it up to its end */
        return;
    }
    n = l->skip ? PENSTOCK_E_LENGTH : penstock_cobs_decode(l->c.in, l->filled);
    l->filled = 0;
    l->skip = 0;
    if (n > 0)
        on_block(l, (size_t)n);
}

/* on_stream takes what frames are whole in the buffer for input. */
static void on_stream(penstock_link *l)
{
    while (l->filled > 0 && l->connected && !l->lost) {
        penstock_frame f;
        long size = penstock_frame_read(l->c.in, l->filled, PENSTOCK_MAX_PAYLOAD, &f);
        if (size == PENSTOCK_SHORT && l->filled < l->c.in_size)
            return;
        if (size <= 0 || on_frame(l, &f) < 0) {
            l->lost = 1;
            rest(l, 0);
            return;
        }
        l->filled -= (size_t)size;
        memmove(l->c.in, l->c.in + size, l->filled);
    }
}

void penstock_link_receive(penstock_link *l, const uint8_t *b, size_t n)
{
    size_t i;
    if (!l->connected)
        return;
    if (l->c.carrier == PENSTOCK_DATAGRAM) {
        if (n > 0 && n <= l->c.in_size) {
            memcpy(l->c.in, b, n);
            on_block(l, n);
        }
        return;
    }
    if (l->c.carrier == PENSTOCK_SERIAL) {
        for (i = 0; i < n; i++)
            on_line(l, b[i]);
        return;
    }
    while (n > 0 && l->connected && !l->lost) {
        size_t part = l->c.in_size - l->filled;
        if (part > n)
            part = n;
        memcpy(l->c.in + l->filled, b, part);
        l->filled += part;
        b += part;
        n -= part;
        on_stream(l);
    }
}

void penstock_link_ask_time(penstock_link *l) { l->time_due = l->c.clock != NULL && l->c.behind != NULL; }

/* ---- Life ------------------------------------------------------------------ */

void penstock_link_init(penstock_link *l, const penstock_config *c)
{
    memset(l, 0, sizeof *l);
    l->c = *c;
    l->epoch = c->epoch;
    l->budget = -1;
    l->largest = room(l);
    if (c->gcm && c->boot == 0) {
        l->question = 1;
        l->c.boot = ((uint64_t)c->random(c->user) << 32 | c->random(c->user)) & ~question_bit;
    }
}

void penstock_link_connected(penstock_link *l)
{
    l->connected = 1;
    l->open = l->greeting = l->lost = l->skip = l->time_asked = 0;
    l->filled = 0;
    l->budget = -1;
    l->retry_at = now(l);
}

void penstock_link_disconnected(penstock_link *l) { l->connected = l->open = l->greeting = 0; }
