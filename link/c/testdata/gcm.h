/*
 * AES-256-GCM a bit at a time, for the tests only: slow, and its time depends on the
 * secret. A controller uses the one of its hardware or of its TLS library.
 */
#include <stdint.h>
#include <string.h>

static uint8_t aes_box[256];

static uint8_t aes_double(uint8_t v) { return (uint8_t)(v << 1 ^ (v >> 7) * 0x1b); }

static void aes_make_box(void)
{
    uint8_t p = 1, q = 1; /* q is the inverse of p */
    do {
        uint8_t x;
        p = (uint8_t)(p ^ aes_double(p));
        q ^= (uint8_t)(q << 1);
        q ^= (uint8_t)(q << 2);
        q ^= (uint8_t)(q << 4);
        q ^= (uint8_t)((q >> 7) * 0x09);
        x = (uint8_t)(q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4));
        aes_box[p] = x ^ 0x63;
    } while (p != 1);
    aes_box[0] = 0x63;
}

static void aes_expand(const uint8_t key[32], uint8_t w[240])
{
    uint8_t round = 1;
    int i, k;
    if (aes_box[0] == 0)
        aes_make_box();
    memcpy(w, key, 32);
    for (i = 32; i < 240; i += 4) {
        uint8_t t[4];
        memcpy(t, w + i - 4, 4);
        if (i % 32 == 0) {
            uint8_t first = t[0];
            t[0] = aes_box[t[1]] ^ round;
            t[1] = aes_box[t[2]];
            t[2] = aes_box[t[3]];
            t[3] = aes_box[first];
            round = aes_double(round);
        } else if (i % 32 == 16) {
            for (k = 0; k < 4; k++)
                t[k] = aes_box[t[k]];
        }
        for (k = 0; k < 4; k++)
            w[i + k] = w[i + k - 32] ^ t[k];
    }
}

static void aes_block(const uint8_t w[240], const uint8_t in[16], uint8_t out[16])
{
    uint8_t s[16], t[16];
    int round, i;
    for (i = 0; i < 16; i++)
        s[i] = in[i] ^ w[i];
    for (round = 1; round <= 14; round++) {
        for (i = 0; i < 16; i++)
            t[i] = aes_box[s[(i + i % 4 * 4) % 16]];
        for (i = 0; i < 16; i++) {
            const uint8_t *c = t + i / 4 * 4;
            int k = i % 4;
            uint8_t a = c[k], b = c[(k + 1) % 4];
            s[i] = round == 14 ? t[i] : (uint8_t)(aes_double(a) ^ aes_double(b) ^ b ^ c[(k + 2) % 4] ^ c[(k + 3) % 4]);
            s[i] ^= w[16 * round + i];
        }
    }
    memcpy(out, s, 16);
}

/* ghash_add adds data, filled up with zeros, to the hash. */
static void ghash_add(const uint8_t h[16], uint8_t y[16], const uint8_t *data, size_t n)
{
    size_t at;
    for (at = 0; at < n; at += 16) {
        uint8_t z[16] = {0}, v[16];
        size_t i;
        int bit, k;
        for (i = 0; i < 16 && at + i < n; i++)
            y[i] ^= data[at + i];
        memcpy(v, h, 16);
        for (bit = 0; bit < 128; bit++) {
            uint8_t odd = v[15] & 1;
            if (y[bit / 8] >> (7 - bit % 8) & 1)
                for (k = 0; k < 16; k++)
                    z[k] ^= v[k];
            for (k = 15; k > 0; k--)
                v[k] = (uint8_t)(v[k] >> 1 | v[k - 1] << 7);
            v[0] = (uint8_t)(v[0] >> 1 ^ odd * 0xe1);
        }
        memcpy(y, z, 16);
    }
}

static int gcm_crypt(const uint8_t *key, int encrypt, const uint8_t nonce[12], const uint8_t *associated,
                     size_t associated_size, uint8_t *data, size_t size, uint8_t tag[16])
{
    uint8_t w[240], h[16] = {0}, counter[16] = {0}, pad[16], y[16] = {0}, lengths[16] = {0};
    size_t i;
    uint32_t block = 1;
    aes_expand(key, w);
    aes_block(w, h, h);
    memcpy(counter, nonce, 12);
    for (i = 0; i < 4; i++) {
        lengths[7 - i] = (uint8_t)(associated_size * 8 >> 8 * i);
        lengths[15 - i] = (uint8_t)(size * 8 >> 8 * i);
    }
    ghash_add(h, y, associated, associated_size);
    if (!encrypt)
        ghash_add(h, y, data, size);
    for (i = 0; i < size; i++) {
        if (i % 16 == 0) {
            block++;
            counter[14] = (uint8_t)(block >> 8);
            counter[15] = (uint8_t)block;
            aes_block(w, counter, pad);
        }
        data[i] ^= pad[i % 16];
    }
    if (encrypt)
        ghash_add(h, y, data, size);
    ghash_add(h, y, lengths, 16);
    counter[14] = 0;
    counter[15] = 1;
    aes_block(w, counter, pad);
    for (i = 0; i < 16; i++)
        y[i] ^= pad[i];
    if (encrypt) {
        memcpy(tag, y, 16);
        return 1;
    }
    return memcmp(tag, y, 16) == 0;
}
