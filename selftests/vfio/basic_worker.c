// SPDX-License-Identifier: GPL-2.0
/*
 * Suite "worker": what vCPUs and interrupts leave of a guarded instance's queues is done by
 * a thread of the process that opened the device, in its scheduling class and its limits;
 * and still is done when that process is gone and another one has the device.
 *
 * With the module's parameter lacks=worker there is no such thread, and all works alike.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic.h"

#define LACKS		"/sys/module/lightiov/parameters/lacks"
#define FLOOD		48

static bool kernel_has_threads(void)
{
	char buf[256] = "";
	FILE *f = fopen(LACKS, "r");

	if (f) {
		if (!fgets(buf, sizeof(buf), f))
			buf[0] = '\0';
		fclose(f);
	}
	return !strstr(buf, "worker");
}

/* Of process @pid: the thread's number; 0 if there is none. */
static int worker_of(int pid)
{
	char path[64], comm[32];
	struct dirent *d;
	int tid = 0;
	DIR *dir;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && !tid && (d = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", pid, d->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) && !strcmp(comm, "lightiov\n"))
			tid = atoi(d->d_name);
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return tid;
}

/* Nobody waits for its end, which comes soon after the close. */
static bool worker_is_gone(void)
{
	u64 end = now_ms() + WAIT_MS;

	while (worker_of(getpid()) && now_ms() < end)
		sleep_us(1000);
	return !worker_of(getpid());
}

/* Times that a thread of this process went to sleep: each time after some work. */
static long sleeps_of(int tid)
{
	char path[64], line[128];
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "voluntary_ctxt_switches: %ld", &n);
	if (f)
		fclose(f);
	return n;
}

/*
 * So many commands that most wait for room, and somebody has to go on with them.  @victim, if
 * not 0, is killed meanwhile.
 */
static void flood_and_kill(struct test *t, struct nvme *n, pid_t victim)
{
	long long held = basic_stat(t, n, "held_load");
	u32 bytes = zeroes_limit(t, n), nlb = bytes / n->lba;
	u64 end = now_ms() + 3 * WAIT_MS;
	unsigned int i, nr = 0;
	struct nvme_queue q;
	struct nvme_cqe cqe;
	struct nvme_sqe sqe;

	if (!EXPECT(t, nlb && nlb <= n->nsze, "no Write Zeroes of %u bytes", bytes) ||
	    !EXPECT(t, !nvme_create_pair(n, &q, 1, 64, 64, 0), "no queue pair"))
		return;
	for (i = 0; i < FLOOD; i++) {
		sqe = cmd_rw(n, IO_WRITE_ZEROES, 0, nlb, NULL);
		nvme_queue_cmd(&q, &sqe);
	}
	nvme_ring(n, &q);
	if (victim)
		kill(victim, SIGKILL);
	while (nr < FLOOD && now_ms() < end) {
		while (nvme_reap(n, &q, &cqe)) {
			EXPECT(t, !nvme_status(&cqe), "status %x", nvme_status(&cqe));
			nr++;
		}
	}
	EXPECT(t, nr == FLOOD, "%u of %u came back", nr, FLOOD);
	EXPECT(t, basic_stat(t, n, "held_load") > held, "none was held back");
	EXPECT(t, !nvme_delete_pair(n, &q), "delete");
}

static void flood(struct test *t, struct nvme *n)
{
	flood_and_kill(t, n, 0);
}

static void a_thread_of_the_user_works(struct test *t, struct nvme *n)
{
	int tid = worker_of(getpid());
	long sleeps;

	if (!EXPECT(t, !!tid == kernel_has_threads(), "thread %d", tid))
		return;
	sleeps = tid ? sleeps_of(tid) : 0;
	flood(t, n);
	if (!tid)
		return;
	diag("it slept %ld times, then %ld", sleeps, sleeps_of(tid));
	EXPECT(t, sleeps_of(tid) > sleeps, "it did nothing");
}

/* Who opens the device with little of the CPU does not get more by a queue. */
static void it_is_of_its_opener_s_kind(struct test *t, struct nvme *n)
{
	const struct sched_param none = { 0 };
	int tid, policy, rc;

	vfio_close_device(&n->v);
	EXPECT(t, worker_is_gone(), "it is still there after the close");
	if (!EXPECT(t, !sched_setscheduler(0, SCHED_IDLE, &none), "%s", strerror(errno)))
		return;
	rc = vfio_open_device(&n->v, n->uuid);
	tid = worker_of(getpid());
	policy = tid ? sched_getscheduler(tid) : SCHED_IDLE;
	sched_setscheduler(0, SCHED_OTHER, &none);
	if (!EXPECT(t, !rc, "open: %s", strerror(-rc)))
		return;
	EXPECT(t, policy == SCHED_IDLE, "policy %d", policy);
	EXPECT(t, !nvme_restart(n), "it does not work after that");
	if (!t->failed)
		flood(t, n);
}

static void send_fd(int sock, int fd)
{
	char data = 0, ctl[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { &data, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			    .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	sendmsg(sock, &m, 0);
}

static int receive_fd(int sock)
{
	char data, ctl[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &data, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			    .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c;
	int fd = -EPIPE;

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 1)
		return fd;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

/* A process that opens the device, hands it over and does nothing more. */
static pid_t opener(struct nvme *n, int *fd)
{
	int sock[2];
	pid_t pid;
	char data;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(sock[0]);
		*fd = vfio_get_device(&n->v, n->uuid);
		if (*fd < 0)
			_exit(1);
		send_fd(sock[1], *fd);
		close(*fd);
		close(sock[1]);
		for (;;)
			pause();
	}
	close(sock[1]);
	*fd = receive_fd(sock[0]);
	/* Until it has let go of its own: stopped before that it would keep the device open. */
	while (read(sock[0], &data, 1) > 0)
		;
	close(sock[0]);
	return pid;
}

/* The device is another process's from now on, and used here: that one's number, or 0. */
static pid_t opened_by_another(struct test *t, struct nvme *n)
{
	int fd = -1, rc;
	pid_t pid;

	vfio_close_device(&n->v);
	EXPECT(t, worker_is_gone(), "it is still there after the close");
	pid = opener(n, &fd);
	if (!EXPECT(t, pid > 0 && fd >= 0, "%s", strerror(-fd)))
		return 0;
	rc = vfio_take_device(&n->v, fd);
	EXPECT(t, !rc && !nvme_restart(n), "it does not work (%d)", rc);
	return pid;
}

static void ends(struct test *t, pid_t pid)
{
	kill(pid, SIGKILL);
	EXPECT(t, waitpid(pid, NULL, 0) == pid, "the opener stays");
}

/* It is killed with commands held back, and its thread with it. */
static void goes_on_without_its_opener(struct test *t, struct nvme *n)
{
	pid_t pid;

	if (n->v.ioas) {
		t->skipped = "it is the same there, and who binds is who opens";
		return;
	}
	pid = opened_by_another(t, n);
	if (!pid)
		return;
	EXPECT(t, !!worker_of(pid) == kernel_has_threads(), "no thread of the opener's");
	EXPECT(t, !worker_of(getpid()), "a thread of who got it");
	if (!t->failed)
		flood(t, n);
	if (!t->failed)
		flood_and_kill(t, n, pid);
	ends(t, pid);
	if (!t->failed)
		flood(t, n);
}

/* Nobody who closes waits for somebody who is stopped, nor does the next one. */
static void close_waits_for_no_stopped_opener(struct test *t, struct nvme *n)
{
	int rc, status;
	u64 start;
	pid_t pid;

	if (n->v.ioas) {
		t->skipped = "no group to open it from";
		return;
	}
	pid = opened_by_another(t, n);
	if (!pid)
		return;
	EXPECT(t, !kill(pid, SIGSTOP) && waitpid(pid, &status, WUNTRACED) == pid &&
	       WIFSTOPPED(status), "the opener goes on");
	start = now_ms();
	vfio_close_device(&n->v);
	rc = vfio_open_device(&n->v, n->uuid);
	EXPECT(t, !rc && !nvme_restart(n), "it does not work after that (%d)", rc);
	EXPECT(t, now_ms() - start < WAIT_MS, "it took %llu ms", now_ms() - start);
	if (!t->failed)
		flood(t, n);
	ends(t, pid);
}

/* A limit of threads is one of the errors an open may have: it can be tried again. */
static void no_thread_is_an_error(struct test *t, struct nvme *n)
{
	struct rlimit old, none;
	int rc = 0, status;
	pid_t pid;

	if (n->v.ioas || !kernel_has_threads()) {
		t->skipped = "no group to open it from, or no thread is needed";
		return;
	}
	getrlimit(RLIMIT_NPROC, &old);
	vfio_close_device(&n->v);
	pid = fork();
	if (!pid) {
		none = old;
		none.rlim_cur = 0;
		setrlimit(RLIMIT_NPROC, &none);
		/* Root may have as many as it likes. */
		if (syscall(SYS_setresgid, 65534, 65534, 65534) ||
		    syscall(SYS_setresuid, 65534, 65534, 65534))
			_exit(100);
		rc = vfio_get_device(&n->v, n->uuid);
		_exit(rc < 0 ? -rc : 0);
	}
	if (EXPECT(t, waitpid(pid, &status, 0) == pid && WIFEXITED(status), "%x", status))
		EXPECT(t, WEXITSTATUS(status) == ENOMEM || WEXITSTATUS(status) == EAGAIN,
		       "errno %d", WEXITSTATUS(status));
	rc = vfio_open_device(&n->v, n->uuid);
	EXPECT(t, !rc && !nvme_restart(n), "it does not work after that (%d)", rc);
}

static struct test tests[] = {
	{ "a_thread_of_the_user_does_what_is_left", a_thread_of_the_user_works, TEST_GUARDED },
	{ "that_thread_is_of_its_openers_kind", it_is_of_its_opener_s_kind,
	  TEST_GUARDED | TEST_RESETS },
	{ "queues_go_on_when_who_opened_them_is_dead", goes_on_without_its_opener,
	  TEST_GUARDED | TEST_RESETS },
	{ "close_waits_for_no_opener_that_is_stopped", close_waits_for_no_stopped_opener,
	  TEST_GUARDED | TEST_RESETS },
	{ "no_more_threads_is_an_error_of_the_open", no_thread_is_an_error,
	  TEST_GUARDED | TEST_RESETS },
};

const struct suite suite_worker = { "worker", tests, ARRAY_SIZE(tests) };
