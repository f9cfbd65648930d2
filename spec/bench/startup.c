/* startup.c: what a process costs from its start to its end.
**
**   startup N COMMAND… -- COMMAND…
**
** Runs the two commands in turns, N times each, with standard output thrown away. Prints a line for each: the medians
** of microseconds of CPU (user and system, as the kernel counted them for that child) and of wall time. Exit status 1
** and a sentence where a command can't be started or fails. */

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define RUNS_MAX 1000

extern char **environ;

struct spent {
  double cpu[RUNS_MAX], wall[RUNS_MAX]; /* microseconds */
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double microseconds(struct timeval t) { return (double)t.tv_sec * 1e6 + (double)t.tv_usec; }

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, by_size);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void run(char **command, struct spent *spent, int nth) {
  posix_spawn_file_actions_t actions;
  struct rusage usage;
  pid_t pid;
  int status;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  double before = now();
  if (posix_spawnp(&pid, command[0], &actions, NULL, command, environ) != 0) {
    fprintf(stderr, "startup: cannot start %s\n", command[0]);
    exit(1);
  }
  if (wait4(pid, &status, 0, &usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "startup: %s failed\n", command[0]);
    exit(1);
  }
  spent->wall[nth] = now() - before;
  spent->cpu[nth] = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
  posix_spawn_file_actions_destroy(&actions);
}

int main(int argc, char **argv) {
  static struct spent first, second;
  int runs = argc > 1 ? atoi(argv[1]) : 0, split = 2;
  while (split < argc && strcmp(argv[split], "--") != 0) split++;
  if (runs < 1 || runs > RUNS_MAX || split == 2 || split + 1 >= argc) {
    fprintf(stderr, "usage: startup N COMMAND… -- COMMAND…   (N from 1 to %d)\n", RUNS_MAX);
    return 2;
  }
  argv[split] = NULL;
  for (int i = 0; i < runs; i++) {
    run(argv + 2, &first, i);
    run(argv + split + 1, &second, i);
  }
  printf("%.3f %.3f\n", median(first.cpu, runs), median(first.wall, runs));
  printf("%.3f %.3f\n", median(second.cpu, runs), median(second.wall, runs));
  return 0;
}
