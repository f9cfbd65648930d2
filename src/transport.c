/* transport.c: see transport.h. The life of a transport; transport_curl.h says which file does what.
**
** Rules that libcurl's documentation and our tests taught: no curl_multi_* call from inside a callback (kick is set
** instead and looked at behind each curl_multi_socket_action); FOLLOWLOCATION off, since redirects would carry
** X-Registry-Auth elsewhere; a request that must not be repeated is stopped at its second attempt (on_attempt), because
** libcurl would otherwise send it again, unasked, when a reused connection dies before the answer; a reply counts only
** when its headers were complete, which libcurl does not ask for; an error that epoll tells of is left to libcurl to
** meet when it reads, since it gives up for good where it is told; a body that is paused hides from libcurl that the
** engine has answered or gone, so bodies that come by and by are not its business (duplex.c). */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport_curl.h"

#define LONGEST_CONNECT 86400.0 /* seconds */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void) {
  curl_global_init(CURL_GLOBAL_DEFAULT); /* never cleaned up: others in the process may use libcurl too */
}

static void free_timer(uv_handle_t *handle) {
  free(handle);
}

void transport_release(struct transport *t) {
  if (--t->references > 0) return;
  curl_slist_free_all(t->json_lines);
  curl_slist_free_all(t->bare_lines);
  free(t->ca);
  free(t->cert);
  free(t->key);
  loop_unref(t->loop);
  free(t);
}

static char *copy(const char *text) {
  return text ? strdup(text) : NULL;
}

/* For libcurl, whose 0 means its default. */
static long connect_milliseconds(double seconds) {
  if (seconds < 0.001) return 1;
  return (long)((seconds < LONGEST_CONNECT ? seconds : LONGEST_CONNECT) * 1000);
}

struct transport *transport_new(struct loop *loop, const struct transport_options *options) {
  struct transport *t;
  int ssh_failed = 0;
  pthread_once(&curl_once, init_curl);
  t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->loop = loop;
  loop_ref(loop);
  t->references = 1;
  t->multi = curl_multi_init();
  t->timer = calloc(1, sizeof *t->timer);
  t->json_lines = curl_slist_append(NULL, "Content-Type: application/json");
  if (t->json_lines && !curl_slist_append(t->json_lines, "Expect:")) curl_slist_free_all(t->json_lines), t->json_lines = NULL;
  t->bare_lines = curl_slist_append(NULL, "Content-Type:");
  if (t->bare_lines && !curl_slist_append(t->bare_lines, "Expect:")) curl_slist_free_all(t->bare_lines), t->bare_lines = NULL;
  t->ca = copy(options->ca);
  t->cert = copy(options->cert);
  t->key = copy(options->key);
  if (options->endpoint && options->endpoint->kind == ENDPOINT_SSH) {
    t->ssh = ssh_pool_new(loop, options->endpoint, options->connect_timeout);
    ssh_failed = !t->ssh;
  }
  if (ssh_failed || !t->multi || !t->timer || !t->json_lines || !t->bare_lines || (options->ca && !t->ca) ||
      (options->cert && !t->cert) || (options->key && !t->key)) {
    if (t->multi) curl_multi_cleanup(t->multi);
    if (t->ssh) ssh_pool_free(t->ssh);
    free(t->timer);
    transport_release(t);
    return NULL;
  }
  uv_timer_init(loop_uv(loop), t->timer);
  t->timer->data = t;
  if (options->endpoint) {
    t->endpoint = *options->endpoint;
    t->has_endpoint = 1;
  }
  t->idle = LIMIT_IDLE_CONNECTIONS;
  if (options->endpoint && options->endpoint->kind == ENDPOINT_SSH) t->idle = LIMIT_SSH_IDLE;
  t->tls = options->tls;
  t->insecure = options->insecure;
  t->connect_timeout = connect_milliseconds(options->connect_timeout);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, watch_on_socket);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, watch_on_timer);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
  transport_take(t, 0);
  return t;
}

/* libcurl counts those in use, too. */
void transport_take(struct transport *t, long count) {
  t->taken += count;
  curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, t->idle + t->taken);
}

void transport_close(struct transport *t) {
  CURLM *multi = t->multi;
  if (!multi) return;
  while (t->transfers) {
    struct transfer *x = t->transfers;
    snprintf(x->fault_text, sizeof x->fault_text, "the client was closed");
    transfer_finish(x, FAULT_CLOSED);
  }
  if (t->ssh) ssh_pool_free(t->ssh); /* those that wait for their turn are not started any more */
  t->ssh = NULL;
  curl_multi_cleanup(multi); /* closes the connections: watch_close still knows t */
  t->multi = NULL;
  pace_close(t);
  uv_close((uv_handle_t *)t->timer, free_timer);
  t->timer = NULL;
  transport_release(t);
}

size_t transport_connections(const struct transport *t) {
  return t->connections;
}
