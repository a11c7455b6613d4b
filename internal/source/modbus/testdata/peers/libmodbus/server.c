/* A Modbus server of libmodbus, to test against: "server tcp PORT" or
 * "server rtu DEVICE". Its registers and bits hold what depends on their address,
 * and it ends with its standard input. */
#include <errno.h>
#include <modbus.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *end_with_input(void *unused) {
  char c;
  while (read(0, &c, 1) > 0) {
  }
  exit(0);
  return unused;
}

static modbus_mapping_t *mapping(void) {
  modbus_mapping_t *m = modbus_mapping_new(2000, 2000, 2000, 2000);
  for (int i = 0; i < 2000; i++) {
    m->tab_bits[i] = i % 3 == 0;
    m->tab_input_bits[i] = i % 5 == 0;
    m->tab_registers[i] = i;
    m->tab_input_registers[i] = 10000 + i;
  }
  modbus_set_float_dcba(-12.5f, m->tab_registers + 100); /* which libmodbus calls what others call CDAB */
  return m;
}

static void serve(modbus_t *ctx, modbus_mapping_t *m) {
  uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
  for (;;) {
    int n = modbus_receive(ctx, query);
    if (n > 0) {
      modbus_reply(ctx, query, n, m);
    } else if (n < 0 && errno != EMBBADCRC) {
      return;
    }
  }
}

int main(int argc, char **argv) {
  pthread_t watch;
  if (argc != 3) {
    return 2;
  }
  pthread_create(&watch, NULL, end_with_input, NULL);
  modbus_mapping_t *m = mapping();
  if (strcmp(argv[1], "rtu") == 0) {
    modbus_t *ctx = modbus_new_rtu(argv[2], 19200, 'N', 8, 1);
    modbus_set_slave(ctx, 7);
    if (modbus_connect(ctx) != 0) {
      perror("connect");
      return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
      serve(ctx, m);
    }
  }
  modbus_t *ctx = modbus_new_tcp("127.0.0.1", atoi(argv[2]));
  int s = modbus_tcp_listen(ctx, 1);
  if (s < 0) {
    perror("listen");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    modbus_tcp_accept(ctx, &s);
    serve(ctx, m);
  }
}
