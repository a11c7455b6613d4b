/*
 * The client on a bench: commands come in on standard input, a line each, and what
 * it does goes out on standard output. A Go test gives it the time and the weather.
 */
#include "../penstock_link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gcm.h"

enum { MOST = 1 << 17 };

static char line[4 * MOST];
static uint8_t bytes[MOST], more[MOST], memory[1 << 16], in[4096], out[1200];
static uint32_t clock_ms;
static uint64_t noise = 1;
static int64_t wall; /* the controller's own clock */
static penstock_signal modem[PENSTOCK_MAX_SIGNALS];
static size_t modem_says;
static penstock_link link_;

static uint32_t next_random(void *user)
{
    (void)user;
    noise = noise * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(noise >> 33);
}

static uint32_t read_clock(void *user)
{
    (void)user;
    return clock_ms;
}

static void print_hex(const char *word, const uint8_t *b, size_t n)
{
    printf("%s ", word);
    while (n-- > 0)
        printf("%02x", *b++);
    printf("\n");
}

static int write_bytes(void *user, const uint8_t *b, size_t n)
{
    (void)user;
    print_hex("write", b, n);
    return 1;
}

static void refused(void *user, uint64_t seq, int verdict, const char *reason, const char *text)
{
    (void)user;
    (void)text;
    printf("refused %" PRIu64 " %d %s\n", seq, verdict, reason);
}

static int64_t read_wall(void *user)
{
    (void)user;
    return wall;
}

static void behind(void *user, int64_t by, int64_t margin)
{
    (void)user;
    printf("behind %" PRId64 " %" PRId64 "\n", by, margin);
}

static size_t read_modem(void *user, penstock_signal signals[PENSTOCK_MAX_SIGNALS])
{
    (void)user;
    memcpy(signals, modem, modem_says * sizeof *modem);
    return modem_says;
}

/* set_modem reads "kind tenths" of one more signal. */
static void set_modem(const char *rest)
{
    int kind, tenths;
    if (modem_says < PENSTOCK_MAX_SIGNALS && sscanf(rest, "%d %d", &kind, &tenths) == 2) {
        modem[modem_says].kind = (uint8_t)kind;
        modem[modem_says++].tenths = tenths;
    }
}

static size_t from_hex(const char *s, uint8_t *b)
{
    size_t n = 0;
    unsigned v;
    while (n < MOST && sscanf(s + 2 * n, "%2x", &v) == 1)
        b[n++] = (uint8_t)v;
    return n;
}

static const char *error_name(long e)
{
    static const char *const names[] = {"short",    "header", "version", "length", "feature", "checksum",
                                        "kind",     "payload", "cobs",   "seal",   "replay"};
    return names[-e];
}

static void read_frame(const char *rest)
{
    penstock_frame f;
    unsigned long limit = strtoul(rest, NULL, 10);
    size_t n = from_hex(strchr(rest, ' ') + 1, bytes);
    uint8_t *exact = malloc(n + 1); /* so that a byte too far is found */
    long size;
    memcpy(exact, bytes, n);
    size = penstock_frame_read(exact, n, (uint32_t)limit, &f);
    if (size <= 0) {
        printf("error %s\n", error_name(size));
    } else {
        printf("frame %d %d %d ", f.kind, f.features, f.address);
        print_hex("", f.payload, f.size);
    }
    free(exact);
}

static void cobs(const char *rest, int decode)
{
    size_t n = from_hex(rest, bytes);
    if (decode) {
        long size = penstock_cobs_decode(bytes, n);
        if (size < 0)
            printf("error %s\n", error_name(size));
        else
            print_hex("cobs", bytes, (size_t)size);
    } else {
        print_hex("cobs", more, penstock_cobs_encode(more, bytes, n));
    }
}

/* read_sample reads "point unit time status native flags kind value", strings in hexadecimal after a dot. */
static char *read_string(const char *word)
{
    size_t n = from_hex(word + 1, bytes);
    char *s = malloc(n + 1);
    memcpy(s, bytes, n);
    s[n] = 0;
    return s;
}

static void read_sample(penstock_sample *s)
{
    uint64_t bits;
    memset(s, 0, sizeof *s);
    s->point = read_string(strtok(NULL, " "));
    s->unit = read_string(strtok(NULL, " "));
    s->time = strtoll(strtok(NULL, " "), NULL, 10);
    s->status = (uint32_t)strtoul(strtok(NULL, " "), NULL, 10);
    s->native = (uint32_t)strtoul(strtok(NULL, " "), NULL, 10);
    s->flags = (uint8_t)atoi(strtok(NULL, " "));
    s->kind = (uint8_t)atoi(strtok(NULL, " "));
    switch (s->kind) {
    case PENSTOCK_FLOAT64:
        bits = strtoull(strtok(NULL, " "), NULL, 16);
        memcpy(&s->value.f, &bits, 8);
        break;
    case PENSTOCK_INT64:
        s->value.i = strtoll(strtok(NULL, " "), NULL, 10);
        break;
    case PENSTOCK_UINT64:
    case PENSTOCK_BOOL:
        s->value.u = strtoull(strtok(NULL, " "), NULL, 10);
        break;
    case PENSTOCK_TEXT:
        s->value.s = read_string(strtok(NULL, " "));
        break;
    default:
        strtok(NULL, " ");
    }
}

static void encode_report(char *rest)
{
    char *controller = read_string(strtok(rest, " "));
    uint64_t epoch = strtoull(strtok(NULL, " "), NULL, 10);
    uint64_t seq = strtoull(strtok(NULL, " "), NULL, 10);
    size_t count = strtoul(strtok(NULL, " "), NULL, 10), i, size;
    penstock_sample *samples = calloc(count + 1, sizeof *samples);
    for (i = 0; i < count; i++)
        read_sample(&samples[i]);
    size = penstock_report_encode(more, sizeof more, controller, epoch, seq, samples, count);
    print_hex("report", more, size);
    for (i = 0; i < size; i++) { /* with less room it does not fit, and nothing is written beyond */
        uint8_t *exact = malloc(i + 1);
        if (penstock_report_encode(exact, i, controller, epoch, seq, samples, count) != 0)
            printf("error it fits into %zu bytes\n", i);
        free(exact);
    }
    for (i = 0; i < count; i++) {
        free((char *)(uintptr_t)samples[i].point);
        free((char *)(uintptr_t)samples[i].unit);
        if (samples[i].kind == PENSTOCK_TEXT)
            free((char *)(uintptr_t)samples[i].value.s);
    }
    free(samples);
    free(controller);
}

static int gcm(void *user, int encrypt, const uint8_t nonce[12], const uint8_t *associated, size_t associated_size,
               uint8_t *data, size_t size, uint8_t tag[16])
{
    return gcm_crypt(user, encrypt, nonce, associated, associated_size, data, size, tag);
}

/* start makes a client: carrier, polled, epoch, and for sealed ones key id, secret, boot, and an address. */
static void start(const char *rest)
{
    static uint8_t secret[32];
    static char id[17], key[65];
    penstock_config c;
    int carrier, polled;
    uint64_t epoch, boot;
    unsigned address = 0;
    int words = sscanf(rest, "%d %d %" SCNu64 " %16s %64s %" SCNu64 " %u", &carrier, &polled, &epoch, id, key, &boot, &address);
    memset(&c, 0, sizeof c);
    c.write = write_bytes;
    c.now = read_clock;
    c.random = next_random;
    c.refused = refused;
    c.clock = read_wall;
    c.behind = behind;
    c.signals = read_modem;
    c.controller = "pump-17";
    c.client = "bench";
    c.epoch = epoch;
    c.carrier = (uint8_t)carrier;
    c.polled = (uint8_t)polled;
    c.address = (uint16_t)address;
    c.memory = memory;
    c.memory_size = sizeof memory;
    c.in = in;
    c.in_size = sizeof in;
    c.out = out;
    c.out_size = sizeof out;
    if (words >= 6) {
        from_hex(id, c.key_id);
        from_hex(key, secret);
        c.user = secret;
        c.gcm = gcm;
        c.boot = boot;
    }
    penstock_link_init(&link_, &c);
}

/* offer gives the client a report whose one sample has the report's number for time and value. */
static void offer(void)
{
    penstock_sample s;
    memset(&s, 0, sizeof s);
    s.point = "flow";
    s.kind = PENSTOCK_FLOAT64;
    s.time = (int64_t)link_.newest + 1;
    s.value.f = (double)s.time;
    printf("offered %" PRIu64 "\n", penstock_link_offer(&link_, &s, 1));
}

static void obey(char *command)
{
    char *rest = strchr(command, ' ');
    if (rest)
        *rest++ = 0;
    if (strcmp(command, "frame") == 0)
        read_frame(rest);
    else if (strcmp(command, "cobs") == 0)
        cobs(rest, 0);
    else if (strcmp(command, "uncobs") == 0)
        cobs(rest, 1);
    else if (strcmp(command, "report") == 0)
        encode_report(rest);
    else if (strcmp(command, "start") == 0)
        start(rest);
    else if (strcmp(command, "connect") == 0)
        penstock_link_connected(&link_);
    else if (strcmp(command, "disconnect") == 0)
        penstock_link_disconnected(&link_);
    else if (strcmp(command, "offer") == 0)
        offer();
    else if (strcmp(command, "clock") == 0)
        clock_ms = (uint32_t)strtoul(rest, NULL, 10);
    else if (strcmp(command, "wall") == 0)
        wall = strtoll(rest, NULL, 10);
    else if (strcmp(command, "modem") == 0)
        set_modem(rest);
    else if (strcmp(command, "time") == 0)
        penstock_link_ask_time(&link_);
    else if (strcmp(command, "receive") == 0)
        penstock_link_receive(&link_, bytes, from_hex(rest, bytes));
    else if (strcmp(command, "step") == 0)
        printf("next %" PRIu32 "\n", penstock_link_step(&link_));
    else
        printf("error no such command\n");
    printf("done %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d %d %" PRIu64 "\n", link_.newest, link_.accepted,
           link_.committed, link_.epoch, link_.open, link_.lost, link_.behind, link_.c.boot);
    fflush(stdout);
}

int main(void)
{
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        obey(line);
    }
    return 0;
}
