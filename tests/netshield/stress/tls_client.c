// A client that speaks TLS 1.3 by OpenSSL, with random sizes and orders: tls_client.h. Key updates now and then; the
// connection ends in order (close_notify first, reading goes on), by leaving, or by a cut without close_notify.
#define _GNU_SOURCE
#include "tls_client.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tls_identity {
  SSL_CTX* context;
};

struct tls_identity* load_identity(const char* certificate, const char* key, const char* authority) {
  struct tls_identity* const identity = malloc(sizeof(*identity));
  identity->context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(identity->context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_mode(identity->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(identity->context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(identity->context, key, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(identity->context, authority, NULL) != 1) {
    ERR_print_errors_fp(stderr);
    exit(2);
  }
  return identity;
}

struct tls_flow {
  struct flow* flow;
  SSL* ssl;
  size_t pending_send;  // a write that OpenSSL has begun must be repeated with the same bytes
};

// True: something may go on. False: nothing will.
static bool waits(struct tls_flow* tls, int error) {
  struct pollfd entry = {tls->flow->fd, (short)(error == SSL_ERROR_WANT_WRITE ? POLLIN | POLLOUT : POLLIN), 0};
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
  note(tls->flow->slot, "poll");
  return poll(&entry, 1, -1) > 0;
}

static void broken(struct tls_flow* tls, const char* what, int error) {
  struct flow* const flow = tls->flow;
  flow->send_over = flow->receive_over = true;
  if (may_break(flow)) return;
  char reason[200] = "";
  ERR_error_string_n(ERR_peek_error(), reason, sizeof(reason));
  fail(flow->slot, "%s: TLS error %d, %s, %s", what, error, reason, strerror(errno));
}

static bool shakes_hands(struct tls_flow* tls) {
  for (;;) {
    ERR_clear_error();
    note(tls->flow->slot, "handshake");
    const int done = SSL_connect(tls->ssl);
    if (done == 1) return true;
    const int error = SSL_get_error(tls->ssl, done);
    if (waits(tls, error)) continue;
    broken(tls, "handshake", error);
    return false;
  }
}

// SSL_ERROR_NONE: bytes went out.
static int step_sending(struct tls_flow* tls) {
  static _Thread_local uint8_t bytes[40000];
  struct flow* const flow = tls->flow;
  const uint64_t left = flow->plan.bytes[CLIENT] - flow->sent;
  size_t size = tls->pending_send;
  if (size == 0) size = below(&flow->random, 2) == 0 ? 1 + below(&flow->random, 100) : 1 + below(&flow->random, 40000);
  if (size > left) size = left;
  fill_bytes(bytes, size, flow->plan.number, CLIENT, flow->sent);
  if (tls->pending_send == 0 && below(&flow->random, 50) == 0) {
    SSL_key_update(tls->ssl, below(&flow->random, 2) ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
  }
  ERR_clear_error();
  note(flow->slot, "SSL_write");
  const int done = SSL_write(tls->ssl, bytes, (int)size);
  tls->pending_send = done > 0 ? 0 : size;
  if (done <= 0) return SSL_get_error(tls->ssl, done);
  flow->slot->sent = flow->sent += (uint64_t)done;
  return SSL_ERROR_NONE;
}

static void finish_tls(struct tls_flow* tls) {
  tls->flow->send_over = true;
  if (tls->flow->plan.ending == CLIENT_CUTS) {
    shutdown(tls->flow->fd, SHUT_WR);  // of TCP: the end that an adversary can make
    return;
  }
  note(tls->flow->slot, "SSL_shutdown");
  ERR_clear_error();
  if (SSL_shutdown(tls->ssl) < 0) {
    const int error = SSL_get_error(tls->ssl, -1);
    if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) {
      tls->flow->send_over = false;  // again later
    } else {
      broken(tls, "SSL_shutdown", error);
    }
  }
}

static int step_receiving(struct tls_flow* tls) {
  static _Thread_local uint8_t bytes[40000];
  struct flow* const flow = tls->flow;
  const int size = 1 + (int)below(&flow->random, below(&flow->random, 2) == 0 ? 100 : sizeof(bytes));
  ERR_clear_error();
  note(flow->slot, "SSL_read");
  const int got = SSL_read(tls->ssl, bytes, size);
  if (got <= 0) {
    const int error = SSL_get_error(tls->ssl, got);
    if (error == SSL_ERROR_ZERO_RETURN) check_end(flow, ENDED);
    return error;
  }
  if (flow->received + (uint64_t)got > flow->plan.bytes[SERVER]) fail(flow->slot, "more bytes than were sent");
  const size_t same = first_difference(bytes, (size_t)got, flow->plan.number, SERVER, flow->received);
  if (same != (size_t)got) fail(flow->slot, "byte %llu is wrong", (unsigned long long)(flow->received + same));
  flow->slot->received = flow->received += (uint64_t)got;
  atomic_fetch_add(&board->bytes, (uint64_t)got);
  return SSL_ERROR_NONE;
}

static bool is_waiting(int error) { return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE; }

static void exchange(struct tls_flow* tls) {
  struct flow* const flow = tls->flow;
  while (!(flow->send_over && flow->receive_over) && !is_to_leave(flow)) {
    int sending = SSL_ERROR_WANT_READ, receiving = SSL_ERROR_NONE;
    if (!flow->send_over && flow->sent == flow->plan.bytes[CLIENT]) {
      finish_tls(tls);
      if (!flow->send_over) sending = SSL_ERROR_WANT_WRITE;
    } else if (!flow->send_over) {
      sending = step_sending(tls);
      if (sending != SSL_ERROR_NONE && !is_waiting(sending)) broken(tls, "SSL_write", sending);
    }
    if (!flow->receive_over) {
      receiving = step_receiving(tls);
      if (!flow->receive_over && receiving != SSL_ERROR_NONE && !is_waiting(receiving))
        broken(tls, "SSL_read", receiving);
    }
    if (flow->receive_over && flow->send_over) return;
    const bool all_wait = is_waiting(sending) && (flow->receive_over || is_waiting(receiving));
    if (all_wait) waits(tls, flow->send_over ? SSL_ERROR_WANT_READ : SSL_ERROR_WANT_WRITE);
  }
}

void converse_over_tls(struct flow* flow, struct tls_identity* identity) {
  struct tls_flow tls = {flow, SSL_new(identity->context), 0};
  flow->slot->how = "OpenSSL";
  fcntl(flow->fd, F_SETFL, fcntl(flow->fd, F_GETFL) | O_NONBLOCK);
  SSL_set_fd(tls.ssl, flow->fd);
  uint64_t number = flow->plan.number;
  if (shakes_hands(&tls)) {
    int done;
    while ((done = SSL_write(tls.ssl, &number, sizeof(number))) <= 0 && waits(&tls, SSL_get_error(tls.ssl, done))) {
    }
    if (done != sizeof(number)) fail(flow->slot, "the connection's number was not sent");
    exchange(&tls);
  }
  SSL_free(tls.ssl);
  close(flow->fd);
}
