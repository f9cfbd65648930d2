/* floor.c: what a plain C program on libcurl spends on the requests that docker-watcher makes.
**
**   floor HOST ping N [METHOD]       HEAD (or METHOD) /_ping
**   floor HOST inspect N ID          GET /containers/ID/json
**   floor HOST inspect16 N ID        the same, 16 at a time: curl multi, perform and poll
**   floor HOST list N                GET /containers/json?all=true
**   floor HOST pull N IMAGE TAG      POST /images/create, the progress read to its end; the image is removed after each
**   floor HOST pullonly N IMAGE TAG  the same without the removal, for a server of saved answers
**   floor HOST logs N ID             GET /containers/ID/logs, read to its end
**   floor HOST save N IMAGE          GET /images/IMAGE/get, read to its end
**
** HOST is unix:///path or tcp://host:port. One handle is made once and set up once; replies are counted and thrown
** away, nothing is parsed or kept, so whatever does useful work must cost more than this. One call is made before
** the clock starts: connecting and libcurl's start-up are not counted. Removing an image is not counted either.
**
** Prints words: microseconds of CPU (user and system) per call, the process's peak memory in KiB, the bytes that one
** reply's body had on average, and of streams the microseconds of wall time per call. Exit status 1 and a sentence
** where a request fails or is refused. It uses nothing of docker-watcher. */

#include <curl/curl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define API "v1.41"
#define AT_A_TIME 16

struct target {
  const char *socket; /* path of a Unix socket, or NULL */
  char base[256];     /* "http://localhost" or "http://host:port" */
};

static uint64_t received; /* bytes of bodies */

static _Noreturn void fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("floor: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

/* ---- what it costs ---- */

static double cpu_now(void) { /* seconds, user and system */
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static double wall_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* VmHWM rather than ru_maxrss, which a program inherits from the one that started it. */
static long peak_kib(void) {
  char line[256];
  long kib = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f)) {
    if (sscanf(line, "VmHWM: %ld", &kib) == 1) break;
  }
  if (f) fclose(f);
  return kib;
}

static void report(double cpu, long calls, uint64_t bytes) {
  printf("%.3f %ld %.0f\n", cpu / (double)calls * 1e6, peak_kib(), (double)bytes / (double)calls);
}

/* ---- libcurl ---- */

static void target_read(struct target *t, const char *host) {
  if (strncmp(host, "unix://", 7) == 0) {
    t->socket = host + 7;
    snprintf(t->base, sizeof t->base, "http://localhost");
  } else if (strncmp(host, "tcp://", 6) == 0) {
    t->socket = NULL;
    snprintf(t->base, sizeof t->base, "http://%s", host + 6);
  } else {
    fail("host must be unix:///path or tcp://host:port, got %s", host);
  }
}

static size_t count_bytes(char *data, size_t size, size_t count, void *unused) {
  (void)data;
  (void)unused;
  received += size * count;
  return size * count;
}

static void handle_request(CURL *h, const struct target *t, const char *method, const char *path) {
  char url[1024];
  if (snprintf(url, sizeof url, "%s%s", t->base, path) >= (int)sizeof url) fail("path too long: %s", path);
  curl_easy_setopt(h, CURLOPT_URL, url);
  curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, NULL);
  curl_easy_setopt(h, CURLOPT_HTTPGET, 1L); /* takes back NOBODY and POST */
  if (strcmp(method, "HEAD") == 0) {
    curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
  } else if (strcmp(method, "POST") == 0) {
    curl_easy_setopt(h, CURLOPT_POSTFIELDS, "");
  } else if (strcmp(method, "GET") != 0) {
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
  }
}

static CURL *handle_new(const struct target *t, const char *method, const char *path) {
  CURL *h = curl_easy_init();
  if (!h) fail("curl_easy_init failed");
  if (t->socket) curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, t->socket);
  curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, count_bytes);
  handle_request(h, t, method, path);
  return h;
}

static void check(CURL *h, CURLcode code) {
  long status = 0;
  char *url = NULL;
  if (code != CURLE_OK) fail("%s", curl_easy_strerror(code));
  curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(h, CURLINFO_EFFECTIVE_URL, &url);
  if (status < 200 || status > 299) fail("%s: status %ld", url, status);
}

static void perform(CURL *h) { check(h, curl_easy_perform(h)); }

/* ---- the work ---- */

static void work_repeat(const struct target *t, const char *method, const char *path, long calls) {
  CURL *h = handle_new(t, method, path);
  perform(h);
  received = 0;
  double before = cpu_now();
  for (long i = 0; i < calls; i++) perform(h);
  report(cpu_now() - before, calls, received);
  curl_easy_cleanup(h);
}

static void work_stream(const struct target *t, const char *path, long calls) {
  CURL *h = handle_new(t, "HEAD", "/_ping"); /* connects */
  double cpu, wall;
  perform(h);
  handle_request(h, t, "GET", path);
  received = 0;
  cpu = cpu_now();
  wall = wall_now();
  for (long i = 0; i < calls; i++) perform(h);
  cpu = cpu_now() - cpu;
  wall = wall_now() - wall;
  printf("%.3f %ld %.0f %.3f\n", cpu / (double)calls * 1e6, peak_kib(), (double)received / (double)calls,
         wall / (double)calls * 1e6);
  curl_easy_cleanup(h);
}

static void work_pull(const struct target *t, const char *image, const char *tag, long calls, int remove) {
  char pull[512], removal[512];
  double cpu = 0;
  uint64_t bytes = 0;
  CURL *h = handle_new(t, "HEAD", "/_ping"); /* connects */
  char *name = curl_easy_escape(h, image, 0);
  snprintf(pull, sizeof pull, "/" API "/images/create?fromImage=%s&tag=%s", name, tag);
  snprintf(removal, sizeof removal, "/" API "/images/%s:%s", image, tag);
  curl_free(name);
  perform(h);
  for (long i = 0; i < calls; i++) {
    handle_request(h, t, "POST", pull);
    received = 0;
    double before = cpu_now();
    perform(h);
    cpu += cpu_now() - before;
    bytes += received;
    if (remove) {
      handle_request(h, t, "DELETE", removal);
      perform(h);
    }
  }
  report(cpu, calls, bytes);
  curl_easy_cleanup(h);
}

/* Runs `calls` requests over the given handles: each starts its next request when it has finished one. */
static void multi_run(CURLM *multi, CURL **handles, int count, long calls) {
  long started = 0, done = 0;
  int running, left;
  CURLMsg *m;
  for (int i = 0; i < count && started < calls; i++, started++) curl_multi_add_handle(multi, handles[i]);
  while (done < calls) {
    if (curl_multi_perform(multi, &running) != CURLM_OK) fail("curl_multi_perform failed");
    int again = 0;
    while ((m = curl_multi_info_read(multi, &left)) != NULL) {
      if (m->msg != CURLMSG_DONE) continue;
      CURL *h = m->easy_handle;
      check(h, m->data.result);
      curl_multi_remove_handle(multi, h);
      done++;
      if (started < calls) {
        curl_multi_add_handle(multi, h);
        started++;
        again = 1;
      }
    }
    if (!again && done < calls) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
}

static void work_multi(const struct target *t, const char *path, long calls) {
  CURL *handles[AT_A_TIME];
  CURLM *multi = curl_multi_init();
  for (int i = 0; i < AT_A_TIME; i++) handles[i] = handle_new(t, "GET", path);
  multi_run(multi, handles, AT_A_TIME, AT_A_TIME);
  received = 0;
  double before = cpu_now();
  multi_run(multi, handles, AT_A_TIME, calls);
  report(cpu_now() - before, calls, received);
  for (int i = 0; i < AT_A_TIME; i++) curl_easy_cleanup(handles[i]);
  curl_multi_cleanup(multi);
}

int main(int argc, char **argv) {
  struct target t;
  char path[512];
  if (argc < 4) fail("usage: floor HOST ping|inspect|inspect16|list|pull|pullonly|logs|save N [ARGUMENT…]");
  const char *work = argv[2];
  long calls = strtol(argv[3], NULL, 10);
  const char *first = argc > 4 ? argv[4] : NULL, *second = argc > 5 ? argv[5] : NULL;
  if (calls < 1) fail("at least one call, got %s", argv[3]);
  target_read(&t, argv[1]);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  if (strcmp(work, "ping") == 0) {
    work_repeat(&t, first ? first : "HEAD", "/_ping", calls);
  } else if (strcmp(work, "list") == 0) {
    work_repeat(&t, "GET", "/" API "/containers/json?all=true", calls);
  } else if (strcmp(work, "inspect") == 0 || strcmp(work, "inspect16") == 0) {
    if (!first) fail("%s: whose id?", work);
    snprintf(path, sizeof path, "/" API "/containers/%s/json", first);
    if (strcmp(work, "inspect") == 0) {
      work_repeat(&t, "GET", path, calls);
    } else {
      work_multi(&t, path, calls);
    }
  } else if (strcmp(work, "logs") == 0) {
    if (!first) fail("logs: whose id?");
    snprintf(path, sizeof path, "/" API "/containers/%s/logs?stdout=1&stderr=1", first);
    work_stream(&t, path, calls);
  } else if (strcmp(work, "save") == 0) {
    if (!first) fail("save: which image?");
    snprintf(path, sizeof path, "/" API "/images/%s/get", first);
    work_stream(&t, path, calls);
  } else if (strcmp(work, "pull") == 0 || strcmp(work, "pullonly") == 0) {
    if (!first || !second) fail("%s: which image and tag?", work);
    work_pull(&t, first, second, calls, strcmp(work, "pull") == 0);
  } else {
    fail("no such work: %s", work);
  }
  curl_global_cleanup();
  return 0;
}
